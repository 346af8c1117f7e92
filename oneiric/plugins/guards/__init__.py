"""What every stream is held to, whatever else is plugged in: these cannot be switched off."""
