"""x"""
ROWS=()
