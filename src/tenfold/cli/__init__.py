"""The command line: parse it, call one function, and print the result."""
