import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "gate"))  # synthetic_pairs, which the gate's tests share
