"""How Tenfold is released: what is built, and on which interpreters it is tested."""
