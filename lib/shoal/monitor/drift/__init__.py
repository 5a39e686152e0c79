"""How much the columns of one window of rows differ from those of another.

- `columns`     which columns are numbers, which are categories, and how each type becomes one
- `digest`      a column of one window as sorted values with their counts, in bounded memory
- `bins`        quantiles, and the bins that PSI and Jensen-Shannon compare
- `distances`   the statistics: Kolmogorov-Smirnov, Wasserstein, PSI, Jensen-Shannon, chi-square
- `thresholds`  from where on a statistic counts: an effect that matters, above what chance would do
- `profiles`    what one window of a column looks like
- `severity`    one column's comparisons: statistic, threshold, severity
- `aggregation` partial aggregates of a task's rows, final digests of a column, inside Spark's tasks
- `windows`     which days are compared with which
- `selection`   which columns of a table are compared, and as what
- `compare`     the entry: windows in, profiles and drift out, one pass over each window for all columns together

The choices and their sources are in docs/adr/0020-drift-metrics.md.
"""
