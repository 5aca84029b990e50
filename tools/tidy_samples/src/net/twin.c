/* A sample. */
int a;
