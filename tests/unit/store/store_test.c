// The suite that every store passes, run on the embedded one.
#include "sqlite_world.h"

int main(void)
{
    return store_suite_run(&sqlite_factory);
}
