"""`python -m tenfold`: the program."""

from tenfold.cli.entry import main

main()
