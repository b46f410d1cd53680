"""`python -m tenfold.cli`: the program."""

from tenfold.cli.entry import main

main()
