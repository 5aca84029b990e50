/* A sample. */
int a; // why
