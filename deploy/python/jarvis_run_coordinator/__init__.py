"""The Run Coordinator, a program in Rust, in the place of the Python one."""

__all__ = ["__version__"]

__version__ = "@VERSION@"
