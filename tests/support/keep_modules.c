/* Linked into programs built with sanitizers: shared objects stay loaded until the end, so that LeakSanitizer can
 * name the module that a leak comes from and tests/lsan.supp can tell Open MPI's plugins from our own code. */
int dlclose(void *handle);

__attribute__((visibility("default"))) int dlclose(void *handle)
{
    (void)handle;
    return 0;
}
