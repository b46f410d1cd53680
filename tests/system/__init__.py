"""The whole from outside: command line, browser, Ray, examples, notebooks, pages."""
