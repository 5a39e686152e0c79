"""How a job becomes a run: its declaration, execution, record in ops.runs, order in the pipeline and exit code."""
