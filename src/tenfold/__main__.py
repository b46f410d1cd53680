"""Run the program: `python -m tenfold`."""

from tenfold.cli.entry import main

main()
