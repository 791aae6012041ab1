"""`python -m molfm.minimix build`: build the embedded mix."""

from molfm.minimix.build import main

main()
