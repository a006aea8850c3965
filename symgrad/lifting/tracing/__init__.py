"""Python code, modules and autograd functions, run while each value carries its step."""
