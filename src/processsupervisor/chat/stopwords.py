"""English words that say how a question is asked and not what it is about; nothing else lives here."""

from __future__ import annotations

STOPWORDS = frozenset(
    """
    a about after again all also am an and any anybody anyone anything are as ask at be because been before being between both
    but by can cannot could did do does doing done don down during each either else even ever every few for from further
    get gets getting give gives go goes going got had happen happened happening happens has have having he her here hers him his
    how however i if in into is it its itself just kind kindly know let like look made make makes many may me mean means might
    mine more most much must my myself need needs no nor not now of off often on once one only or other our ours out over
    own per please possible quite rather s said same say says see shall she should show so some somebody someone something
    such t take tell than that the their theirs them then there these they thing things this those through to too under
    until up upon us use used using very want wants was way ways we well were what when where whether which while who whom
    whose why will with within without work works would yes yet you your yours yourself
    hello hi hey thanks thank explain describe
    """.split()
)
