"""``python -m perfkit.trial.worker [SPECIFICATION] DESCRIPTOR``: the command of a trial's child."""

import sys

from perfkit.trial.worker.worker import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
