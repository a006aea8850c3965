"""Files and folders as questions: what a file holds, its answer, and all answers in one format."""
