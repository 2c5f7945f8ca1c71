"""The rules by which claims are judged, one file each."""

from collections.abc import Mapping
from types import MappingProxyType

from ics_bench.claims.rules.ceiling import PrintedCeiling
from ics_bench.claims.rules.equivalent import Equivalent
from ics_bench.claims.rules.exceeds import Exceeds
from ics_bench.claims.rules.impossible import Impossible
from ics_bench.claims.rules.interaction import Interaction
from ics_bench.claims.rules.paired import PairedEffect
from ics_bench.claims.rules.paired_ceiling import PairedCeiling
from ics_bench.claims.rules.paired_range import PairedRange
from ics_bench.claims.rules.printed import PrintedNumber
from ics_bench.claims.rules.rank_contest import RankContest
from ics_bench.claims.rules.rank_correlation import RankCorrelation
from ics_bench.claims.rules.rule import Rule
from ics_bench.claims.rules.success import Success
from ics_bench.claims.rules.within import Within

RULES: Mapping[str, type[Rule]] = MappingProxyType(
    {
        "within": Within,
        "printed_number": PrintedNumber,
        "printed_ceiling": PrintedCeiling,
        "paired_effect": PairedEffect,
        "equivalent": Equivalent,
        "exceeds": Exceeds,
        "success": Success,
        "paired_range": PairedRange,
        "interaction": Interaction,
        "impossible": Impossible,
        "rank_correlation": RankCorrelation,
        "rank_contest": RankContest,
        "paired_ceiling": PairedCeiling,
    }
)

__all__ = ["RULES", "Rule"]
