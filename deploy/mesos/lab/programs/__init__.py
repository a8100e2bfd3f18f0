"""The agent's helper programs that the PyPI package lacks."""
