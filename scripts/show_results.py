"""Print where the products are and what they say: `make run` ends with it."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from rockglacier.summary import report

if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        print(f"\n{report(json.loads(path.read_text()))}")
