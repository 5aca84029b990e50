/* A sample. */
	int a;
