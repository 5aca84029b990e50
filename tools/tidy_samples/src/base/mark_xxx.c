/* A sample. */
/* XXX later */
