"""`python -m gateway` is `wavegate`.

It holds no code of its own, so that both names always do the same.
It must not know any command.
"""

import sys

from gateway.cli import main

if __name__ == "__main__":
    sys.exit(main())
