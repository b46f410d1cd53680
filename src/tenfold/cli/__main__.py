"""`python -m tenfold.cli`: the program."""

from tenfold.cli.main import main

main()
