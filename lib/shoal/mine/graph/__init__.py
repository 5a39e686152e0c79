"""Graph algorithms on an edge DataFrame: PageRank, label propagation, components, triangles, degrees, modularity.

`shoal.mine.graph.algorithms` is the interface; three engines stand behind it and mean the same. An edge frame has `src` and
`dst` (strings) and optionally `weight`; shoal.mine.graph.edges says what is refused. docs/adr/0010-graph-semantics.md has the
definitions and the reasons.
"""
