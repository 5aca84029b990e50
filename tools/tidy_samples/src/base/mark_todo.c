/* A sample. */
/* TODO later */
