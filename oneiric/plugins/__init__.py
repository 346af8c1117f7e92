"""What is built in: each a plugin that imports the contract and its own library, and nothing of the kernel."""
