/* The run directory: who may have it, what is kept, and the files of lines that grow in it. */
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/folder.h"
#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/train/metrics.h"
#include "unroll/train/placement.h"
#include "unroll/train/rundir.h"
#include "unroll/train/signals.h"

static const char *path_of(const char *name)
{
    static char path[2][400];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static bool exists(const char *name)
{
    struct stat entry;
    return lstat(path_of(name), &entry) == 0;
}

static void write_text(const char *name, const char *text)
{
    struct error e;
    assert_int_equal(file_write_new(path_of(name), text, strlen(text), &e), STATUS_OK);
}

static void read_text(const char *name, char text[2000])
{
    struct error e;
    assert_int_equal(file_read_text(path_of(name), text, 2000, &e), STATUS_OK);
}

/* ---- the lock ---- */

/* Who waits for a holder to end waits no time here (ld --wrap). */
static int naps;

int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left);
int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left)
{
    (void)wanted, (void)left;
    naps++;
    return 0;
}

static void test_lock_is_exclusive_and_given_back(void **state)
{
    (void)state;
    struct error e = {STATUS_OK, ""};
    struct rundir *first, *second;
    char notice[ERROR_TEXT];
    assert_int_equal(rundir_open(path_of("a/run"), &first, notice, &e), STATUS_OK);
    assert_string_equal(notice, "");
    naps = 0;
    assert_int_equal(rundir_open(path_of("a/run"), &second, notice, &e), STATUS_CANTCREATE);
    assert_null(second);
    assert_true(naps > 1); /* it might have been about to end */
    char pid[40];
    snprintf(pid, sizeof pid, "process %ld on host", (long)getpid());
    assert_non_null(strstr(e.text, pid));
    assert_non_null(strstr(e.text, "a/run/lock"));
    assert_int_equal(run_lock_check(&first->lock, &e), STATUS_OK);
    rundir_close(first);
    assert_false(exists("a/run/lock"));
    assert_int_equal(rundir_open(path_of("a/run"), &second, notice, &e), STATUS_OK);
    rundir_close(second);
}

/* The lock as a process left it that is no more. */
static void leave_lock(const char *run)
{
    pid_t child = fork();
    if (child == 0) {
        struct rundir *rundir;
        char notice[ERROR_TEXT];
        _exit(rundir_open(path_of(run), &rundir, notice, NULL) ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void replace_in_lock(const char *run, const char *from, const char *to)
{
    char lock[100], text[2000], changed[2100];
    snprintf(lock, sizeof lock, "%s/lock", run);
    read_text(lock, text);
    char *place = strstr(text, from);
    assert_non_null(place);
    snprintf(changed, sizeof changed, "%.*s%s%s", (int)(place - text), text, to, place + strcspn(place, "\n"));
    write_text(lock, changed);
}

static enum status open_and_close(const char *run, char *notice, struct error *e)
{
    struct rundir *rundir;
    enum status status = rundir_open(path_of(run), &rundir, notice, e);
    rundir_close(rundir);
    return status;
}

static void test_lock_of_a_dead_process_is_taken(void **state)
{
    (void)state;
    struct error e;
    char notice[ERROR_TEXT];
    leave_lock("dead");
    assert_true(exists("dead/lock"));
    assert_int_equal(open_and_close("dead", notice, &e), STATUS_OK);
    assert_non_null(strstr(notice, "process is gone"));
    assert_false(exists("dead/lock"));
}

static void test_number_of_the_process_used_again(void **state)
{
    (void)state;
    struct error e;
    char notice[ERROR_TEXT], pid[40];
    leave_lock("again");
    snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
    replace_in_lock("again", "pid ", pid); /* alive, but started at another time */
    replace_in_lock("again", "started ", "started 1");
    assert_int_equal(open_and_close("again", notice, &e), STATUS_OK);
    assert_non_null(strstr(notice, "another's"));
}

static void test_lock_from_before_a_reboot(void **state)
{
    (void)state;
    struct error e;
    char notice[ERROR_TEXT];
    leave_lock("boot");
    replace_in_lock("boot", "boot ", "boot 0000-before");
    assert_int_equal(open_and_close("boot", notice, &e), STATUS_OK);
    assert_non_null(strstr(notice, "restarted"));
}

static void test_lock_of_another_host(void **state)
{
    (void)state;
    struct error e = {STATUS_OK, ""};
    char notice[ERROR_TEXT];
    leave_lock("far");
    replace_in_lock("far", "host ", "host far-away");
    assert_int_equal(open_and_close("far", notice, &e), STATUS_CANTCREATE);
    assert_non_null(strstr(e.text, "'far-away'"));
    assert_non_null(strstr(e.text, "remove"));
    assert_true(exists("far/lock"));
    /* not renewed for long */
    struct timespec old[2] = {{time(NULL) - RUN_LOCK_ABANDONED - 5, 0}, {time(NULL) - RUN_LOCK_ABANDONED - 5, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path_of("far/lock"), old, 0), 0);
    assert_int_equal(open_and_close("far", notice, &e), STATUS_OK);
    assert_non_null(strstr(notice, "not renewed"));
}

static void test_lock_of_an_earlier_start_of_the_job(void **state)
{
    (void)state;
    struct error e;
    char notice[ERROR_TEXT];
    setenv("SLURM_JOB_ID", "4711", 1);
    leave_lock("job");
    replace_in_lock("job", "host ", "host far-away");
    assert_int_equal(open_and_close("job", notice, &e), STATUS_CANTCREATE); /* another step of the same start */
    setenv("SLURM_RESTART_COUNT", "1", 1);
    setenv("SLURM_JOB_ID", "4712", 1);
    assert_int_equal(open_and_close("job", notice, &e), STATUS_CANTCREATE); /* another job */
    assert_non_null(strstr(e.text, "4711"));
    setenv("SLURM_JOB_ID", "4711", 1);
    assert_int_equal(open_and_close("job", notice, &e), STATUS_OK);
    assert_non_null(strstr(notice, "this Slurm job"));
    leave_lock("job");
    replace_in_lock("job", "host ", "host far-away");
    setenv("SLURM_JOB_ID", "4713", 1);
    setenv("UNROLL_ENDED_JOB", "471", 1);
    assert_int_equal(open_and_close("job", notice, &e), STATUS_CANTCREATE);
    setenv("UNROLL_ENDED_JOB", "4711", 1);
    assert_int_equal(open_and_close("job", notice, &e), STATUS_OK);
    assert_non_null(strstr(notice, "has ended"));
    unsetenv("UNROLL_ENDED_JOB");
    unsetenv("SLURM_JOB_ID");
    unsetenv("SLURM_RESTART_COUNT");
}

static void test_who_lost_the_lock_writes_nothing(void **state)
{
    (void)state;
    struct error e = {STATUS_OK, ""};
    struct rundir *rundir;
    char notice[ERROR_TEXT], text[2000];
    assert_int_equal(rundir_open(path_of("lost"), &rundir, notice, &e), STATUS_OK);
    replace_in_lock("lost", "token ", "token 123");
    replace_in_lock("lost", "host ", "host thief");
    assert_int_equal(file_replace(path_of("lost/best.h5"), "x", 1, &rundir->guard, &e), STATUS_CANTCREATE);
    assert_non_null(strstr(e.text, "'thief'"));
    assert_false(exists("lost/best.h5"));
    assert_false(exists("lost/best.h5.tmp"));
    assert_int_equal(rundir_set_latest(rundir, 3, &e), STATUS_CANTCREATE);
    assert_false(exists("lost/latest"));
    assert_int_equal(rundir_prune(rundir, 100, 1, &e), STATUS_CANTCREATE);
    rundir_close(rundir);
    read_text("lost/lock", text); /* the thief's lock stays */
    assert_non_null(strstr(text, "token 123"));
    assert_int_equal(unlink(path_of("lost/lock")), 0);
}

static void assert_text(const char *name, const char *expected)
{
    char text[2000];
    read_text(name, text);
    assert_string_equal(text, expected);
}

/* The question whether the lock is still ours may be answered just before another job takes it. Here the earlier holder
 * always finds its own token: what it does then must fail all the same, and hurt nobody. */
static void test_earlier_holder_is_fenced_off_whatever_it_believes(void **state)
{
    (void)state;
    struct error e = {STATUS_OK, ""};
    struct rundir *earlier, *later;
    struct metrics *its_metrics, *our_metrics;
    char notice[ERROR_TEXT], our_lock[2000];
    assert_int_equal(rundir_open(path_of("fence"), &earlier, notice, &e), STATUS_OK);
    assert_int_equal(metrics_open(path_of("fence/m"), 0, &earlier->guard, &its_metrics, &e), STATUS_OK);
    metrics_line(its_metrics, "{1}");
    for (int step = 1; step <= 3; step++) {
        char path[FILE_PATH_MAX];
        rundir_checkpoint(earlier, step, path);
        assert_int_equal(file_replace(path, "", 0, &earlier->guard, &e), STATUS_OK);
    }
    assert_int_equal(rundir_set_latest(earlier, 3, &e), STATUS_OK);

    replace_in_lock("fence", "host ", "host far-away");
    struct timespec old[2] = {{time(NULL) - RUN_LOCK_ABANDONED - 5, 0}, {time(NULL) - RUN_LOCK_ABANDONED - 5, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path_of("fence/lock"), old, 0), 0);
    assert_int_equal(rundir_open(path_of("fence"), &later, notice, &e), STATUS_OK);
    assert_int_equal(metrics_open(path_of("fence/m"), 4, &later->guard, &our_metrics, &e), STATUS_OK);
    metrics_line(our_metrics, "{2}");

    read_text("fence/lock", our_lock);
    write_text("fence/lock", earlier->lock.text);
    assert_int_equal(run_lock_check(&earlier->lock, &e), STATUS_OK);
    assert_int_not_equal(file_replace(path_of("fence/best.h5"), "x", 1, &earlier->guard, &e), STATUS_OK);
    assert_false(exists("fence/best.h5"));
    assert_int_not_equal(rundir_set_latest(earlier, 2, &e), STATUS_OK);
    char target[100] = "";
    assert_true(readlink(path_of("fence/latest"), target, sizeof target - 1) > 0);
    assert_string_equal(target, "checkpoints/step-00000003.h5");
    (void)rundir_prune(earlier, 3, 1, &e);
    assert_true(exists("fence/checkpoints/step-00000001.h5"));
    assert_true(exists("fence/checkpoints/step-00000002.h5"));
    metrics_line(its_metrics, "{of the earlier one}");
    metrics_close(its_metrics);
    assert_text("fence/m", "{1}\n{2}\n");
    assert_int_not_equal(metrics_open(path_of("fence/m"), 0, &earlier->guard, &its_metrics, &e), STATUS_OK);
    assert_text("fence/m", "{1}\n{2}\n");
    run_lock_renew(&earlier->lock);
    rundir_close(earlier);
    assert_true(exists("fence/lock"));

    write_text("fence/lock", our_lock);
    assert_int_equal(file_replace(path_of("fence/best.h5"), "y", 1, &later->guard, &e), STATUS_OK);
    assert_int_equal(rundir_prune(later, 3, 1, &e), STATUS_OK);
    assert_false(exists("fence/checkpoints/step-00000001.h5"));
    metrics_close(our_metrics);
    rundir_close(later);
    assert_false(exists("fence/lock"));
    struct rundir *next; /* nothing is left of either */
    assert_int_equal(rundir_open(path_of("fence"), &next, notice, &e), STATUS_OK);
    assert_string_equal(notice, "");
    rundir_close(next);
    char left[400];
    snprintf(left, sizeof left, "[ -z \"$(ls -d '%s/fence/'*.tmp 2>/dev/null)\" ]", folder);
    assert_int_equal(system(left), 0);
}

static enum status never_lost(void *context, struct error *e)
{
    (void)context;
    (void)e;
    return STATUS_OK;
}

/* Somebody has removed the lock, as the message advises, but the job was not gone. */
static void test_removed_lock_fences_too(void **state)
{
    (void)state;
    struct error e = {STATUS_OK, ""};
    struct rundir *earlier, *later;
    char notice[ERROR_TEXT];
    assert_int_equal(rundir_open(path_of("hand"), &earlier, notice, &e), STATUS_OK);
    assert_int_equal(unlink(path_of("hand/lock")), 0);
    assert_int_equal(rundir_open(path_of("hand"), &later, notice, &e), STATUS_OK);
    struct file_guard guard = {never_lost, NULL, earlier->lock.folder};
    assert_int_not_equal(file_replace(path_of("hand/best.h5"), "x", 1, &guard, &e), STATUS_OK);
    rundir_close(earlier);
    assert_true(exists("hand/lock"));
    rundir_close(later);
    assert_false(exists("hand/lock"));
}

/* ---- its files ---- */

static void test_cannot_be_made(void **state)
{
    (void)state;
    struct error e = {STATUS_OK, ""};
    struct rundir *rundir;
    char notice[ERROR_TEXT];
    write_text("file", "");
    assert_int_equal(rundir_open(path_of("file/run"), &rundir, notice, &e), STATUS_CANTCREATE);
    assert_non_null(strstr(e.text, "/file'"));
    assert_null(rundir);
}

static void touch(const char *format, int64_t step)
{
    char name[100];
    snprintf(name, sizeof name, format, step);
    write_text(name, "");
}

static void test_list_latest_and_prune(void **state)
{
    (void)state;
    struct error e;
    struct rundir *rundir;
    char notice[ERROR_TEXT], target[100] = "";
    int64_t *steps;
    int count;
    assert_int_equal(rundir_open(path_of("keep"), &rundir, notice, &e), STATUS_OK);
    assert_int_equal(rundir_list(rundir, &steps, &count, &e), STATUS_OK);
    assert_int_equal(count, 0);
    mem_free(steps);
    static const int64_t there[] = {5, 100, 20, 123456789012, 40};
    for (int i = 0; i < 5; i++)
        touch("keep/checkpoints/step-%08" PRId64 ".h5", there[i]);
    touch("keep/checkpoints/step-%" PRId64 ".h5", 7); /* not names of ours */
    touch("keep/checkpoints/step-%08" PRId64 ".h5.tmp", 8);
    touch("keep/checkpoints/other%" PRId64, 9);
    assert_int_equal(rundir_list(rundir, &steps, &count, &e), STATUS_OK);
    static const int64_t sorted[] = {123456789012, 100, 40, 20, 5};
    assert_int_equal(count, 5);
    assert_memory_equal(steps, sorted, sizeof sorted);
    mem_free(steps);
    assert_int_equal(rundir_set_latest(rundir, 40, &e), STATUS_OK);
    assert_int_equal(rundir_set_latest(rundir, 100, &e), STATUS_OK);
    assert_true(readlink(path_of("keep/latest"), target, sizeof target - 1) > 0);
    assert_string_equal(target, "checkpoints/step-00000100.h5");
    assert_false(exists("keep/latest.tmp"));
    /* the one beyond 100 is damaged or from another branch of history: not counted, not touched */
    assert_int_equal(rundir_prune(rundir, 100, 2, &e), STATUS_OK);
    assert_true(exists("keep/checkpoints/step-123456789012.h5"));
    assert_true(exists("keep/checkpoints/step-00000100.h5"));
    assert_true(exists("keep/checkpoints/step-00000040.h5"));
    assert_false(exists("keep/checkpoints/step-00000020.h5"));
    assert_false(exists("keep/checkpoints/step-00000005.h5"));
    assert_true(exists("keep/checkpoints/other9"));
    rundir_close(rundir);
}

static void test_leftovers_go_at_the_start(void **state)
{
    (void)state;
    struct error e;
    char notice[ERROR_TEXT];
    leave_lock("clean");
    write_text("clean/best.h5.tmp", "half");
    write_text("clean/checkpoints/step-00000001.h5.tmp", "half");
    write_text("clean/notes.txt", "mine");
    assert_int_equal(open_and_close("clean", notice, &e), STATUS_OK);
    assert_false(exists("clean/best.h5.tmp"));
    assert_false(exists("clean/checkpoints/step-00000001.h5.tmp"));
    assert_true(exists("clean/notes.txt"));
}

/* ---- lines ---- */

static void test_lines_are_appended_and_cut(void **state)
{
    (void)state;
    struct error e = {STATUS_OK, ""};
    struct metrics *metrics;
    char text[2000];
    assert_int_equal(metrics_open(path_of("m.jsonl"), 0, NULL, &metrics, &e), STATUS_OK);
    metrics_line(metrics, "{1}");
    int64_t after_one = metrics_bytes(metrics);
    metrics_line(metrics, "{2}");
    assert_int_equal(after_one, 4);
    assert_int_equal(metrics_sync(metrics, &e), STATUS_OK);
    metrics_close(metrics);
    assert_int_equal(metrics_open(path_of("m.jsonl"), 9, NULL, &metrics, &e), STATUS_OK);
    assert_int_equal(metrics_bytes(metrics), 8); /* less than there should be */
    metrics_close(metrics);
    assert_int_equal(metrics_open(path_of("m.jsonl"), after_one, NULL, &metrics, &e), STATUS_OK);
    assert_int_equal(metrics_bytes(metrics), 4);
    metrics_line(metrics, "{3}");
    metrics_close(metrics);
    read_text("m.jsonl", text);
    assert_string_equal(text, "{1}\n{3}\n");
    assert_false(exists("m.jsonl.tmp"));
}

/* A kill may leave a part of a line, and a file longer than one piece of the copy. */
static void test_only_whole_lines_are_kept(void **state)
{
    (void)state;
    struct error e = {STATUS_OK, ""};
    struct metrics *metrics;
    enum { LINES = 5000, LINE = 8 };
    char *text = mem_alloc(LINES * LINE + 4, 1, "lines", &e);
    for (int i = 0; i < LINES; i++)
        snprintf(text + i * LINE, LINE + 1, "{%05d}\n", i);
    memcpy(text + LINES * LINE, "{50", 4);
    write_text("long.jsonl", text);
    assert_int_equal(metrics_open(path_of("long.jsonl"), INT64_MAX, NULL, &metrics, &e), STATUS_OK);
    assert_int_equal(metrics_bytes(metrics), LINES * LINE);
    metrics_close(metrics);
    char *back = mem_alloc(LINES * LINE + 100, 1, "lines", &e);
    assert_int_equal(file_read_text(path_of("long.jsonl"), back, LINES * LINE + 100, &e), STATUS_OK);
    text[LINES * LINE] = '\0';
    assert_string_equal(back, text);
    mem_free(text);
    mem_free(back);
}

/* A full disk, played by a limit of sizes: nothing is lost as long as the process lives, and it is told when asked. */
static void test_full_disk_is_told(void **state)
{
    (void)state;
    struct error e = {STATUS_OK, ""};
    struct metrics *metrics;
    struct rlimit before, none;
    assert_int_equal(metrics_open(path_of("full.jsonl"), 0, NULL, &metrics, &e), STATUS_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    metrics_line(metrics, "{1}");
    metrics_line(metrics, "{2}");
    assert_int_equal(metrics_bytes(metrics), 8);
    assert_int_equal(metrics_sync(metrics, &e), STATUS_IO);
    assert_non_null(strstr(e.text, "full.jsonl"));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, SIG_DFL);
    metrics_line(metrics, "{3}");
    metrics_close(metrics);
    assert_text("full.jsonl", "{1}\n{2}\n{3}\n");
}

static void test_folders_and_texts(void **state)
{
    (void)state;
    struct error e = {STATUS_OK, ""};
    char text[6], made[FILE_PATH_MAX];
    assert_int_equal(file_make_folders(path_of("x/y//z/"), made, &e), STATUS_OK);
    assert_string_equal(made, path_of("x"));
    file_unmake_folders(path_of("x/y//z/"), made);
    assert_false(exists("x"));
    assert_true(exists(""));
    assert_int_equal(file_make_folders(path_of("x/y/z"), made, &e), STATUS_OK);
    assert_int_equal(file_make_folders(path_of("x/y/z"), made, &e), STATUS_OK);
    assert_string_equal(made, "");
    file_unmake_folders(path_of("x/y/z"), made); /* not ours */
    assert_true(exists("x/y/z"));
    write_text("x/f", "text");
    assert_int_equal(file_make_folders(path_of("x/new/f/g"), made, &e), STATUS_OK);
    write_text("x/new/h", "text");
    file_unmake_folders(path_of("x/new/f/g"), made); /* as far as they are empty */
    assert_true(exists("x/new") && !exists("x/new/f"));
    assert_int_equal(file_make_folders(path_of("w/x/f"), made, &e), STATUS_OK);
    write_text("w/x/f/g", "text");
    assert_int_equal(file_make_folders(path_of("x/f/g"), made, &e), STATUS_CANTCREATE);
    assert_int_equal(file_replace(path_of("x/y/z/f"), "longer than five", 16, NULL, &e), STATUS_OK);
    assert_int_equal(file_read_text(path_of("x/y/z/f"), text, sizeof text, &e), STATUS_OK);
    assert_string_equal(text, "longe");
    assert_int_equal(file_read_text(path_of("x/none"), text, sizeof text, &e), STATUS_NOINPUT);
    assert_int_equal(file_replace(path_of("none/f"), "", 0, NULL, &e), STATUS_CANTCREATE);
    assert_int_equal(file_make_folders("", made, &e), STATUS_CONFIG);
}

/* ---- whose directory it is ---- */

static void add_folder(const char *name)
{
    struct error e;
    char made[FILE_PATH_MAX];
    assert_int_equal(file_make_folders(path_of(name), made, &e), STATUS_OK);
}

static enum status look_and_leave(const char *path, struct error *e)
{
    struct rundir *rundir;
    char notice[ERROR_TEXT];
    enum status status = rundir_open(path, &rundir, notice, e);
    rundir_close(rundir);
    return status;
}

/* Nothing is left of a start that came to nothing, and nothing of ours comes among other things. */
static void test_only_directories_of_runs(void **state)
{
    (void)state;
    struct error e = {STATUS_OK, ""};
    assert_int_equal(look_and_leave(path_of("d/e/f"), &e), STATUS_OK);
    assert_false(exists("d"));
    add_folder("d/e");
    assert_int_equal(look_and_leave(path_of("d/e"), &e), STATUS_OK); /* empty and the user's */
    assert_true(exists("d/e") && !exists("d/e/checkpoints"));
    write_text("d/e/train.log", "a log may be there");
    write_text("d/e/mark", "");
    assert_int_equal(look_and_leave(path_of("d/e/"), &e), STATUS_OK);
    write_text("d/e/book.txt", "but not this");
    assert_int_equal(look_and_leave(path_of("d/e"), &e), STATUS_CANTCREATE);
    assert_non_null(strstr(e.text, "such as 'book.txt'; name a new directory"));
    assert_false(exists("d/e/checkpoints"));
    assert_int_equal(look_and_leave(path_of("d/e/book.txt"), &e), STATUS_CANTCREATE);
    assert_non_null(strstr(e.text, "no directory"));
    assert_int_equal(look_and_leave("/", &e), STATUS_CANTCREATE);
    assert_int_equal(look_and_leave("/dev", &e), STATUS_CANTCREATE);
    assert_int_equal(look_and_leave("/dev/null", &e), STATUS_CANTCREATE);
    assert_false(exists("/checkpoints"));
    /* other things beside a run are no matter */
    add_folder("d/e/checkpoints");
    write_text("d/e/metrics.jsonl", "{}");
    assert_true(rundir_is_begun(path_of("d/e")) && !rundir_holds_run(path_of("d/e")));
    assert_int_equal(look_and_leave(path_of("d/e"), &e), STATUS_OK);
    write_text("d/e/checkpoints/step-00000003.h5", "");
    assert_true(rundir_holds_run(path_of("d/e")));
    assert_int_equal(unlink(path_of("d/e/metrics.jsonl")), 0);
    assert_true(rundir_is_begun(path_of("d/e")));
    add_folder("project/checkpoints");
    write_text("project/checkpoints/other.pt", "x");
    write_text("project/config.ini", "x");
    assert_false(rundir_is_begun(path_of("project")));
}

static void test_model_of_a_directory(void **state)
{
    (void)state;
    struct error e = {STATUS_OK, ""};
    char model[FILE_PATH_MAX];
    add_folder("models");
    assert_int_equal(rundir_model(path_of("models"), model, &e), STATUS_NOINPUT);
    assert_non_null(strstr(e.text, "neither best.h5 nor latest"));
    assert_int_equal(symlink("nowhere", path_of("models/latest")), 0);
    assert_int_equal(rundir_model(path_of("models"), model, &e), STATUS_NOINPUT);
    assert_int_equal(unlink(path_of("models/latest")), 0);
    write_text("models/latest", "x");
    assert_int_equal(rundir_model(path_of("models//"), model, &e), STATUS_OK);
    assert_string_equal(model, path_of("models/latest"));
    write_text("models/best.h5", "x");
    assert_int_equal(rundir_model(path_of("models"), model, &e), STATUS_OK);
    assert_string_equal(model, path_of("models/best.h5"));
    assert_int_equal(rundir_model(path_of("models/latest"), model, &e), STATUS_OK);
    assert_string_equal(model, path_of("models/latest"));
    assert_int_equal(rundir_model("no such", model, &e), STATUS_OK);
    assert_string_equal(model, "no such");
}

/* ---- placement and signals ---- */

static void assert_advice(struct placement placement, const char *expected)
{
    char advice[ERROR_TEXT];
    placement_advice(&placement, advice);
    if (!expected)
        assert_string_equal(advice, "");
    else if (!strstr(advice, expected))
        fail_msg("'%s' lacks '%s'", advice, expected);
}

static void test_advice_names_the_options(void **state)
{
    (void)state;
    assert_advice((struct placement){.threads = 4, .cores = 4, .host_ranks = 2}, NULL);
    assert_advice((struct placement){.threads = 2, .cores = 4, .host_ranks = 2, .shared = true}, NULL);
    assert_advice((struct placement){.threads = 4, .cores = 1, .host_ranks = 2}, "bound to 1 core,");
    assert_advice((struct placement){.threads = 4, .cores = 1, .host_ranks = 2},
                  "'mpirun --map-by slot:PE=4 --bind-to core'");
    assert_advice((struct placement){.threads = 4, .cores = 1, .host_ranks = 2},
                  "'srun --cpus-per-task=4 --cpu-bind=cores'");
    assert_advice((struct placement){.threads = 3, .cores = 4, .host_ranks = 2, .shared = true}, "use --threads 2");
    assert_advice((struct placement){.threads = 1, .cores = 2, .host_ranks = 3, .shared = true}, "at most 2 ranks");
}

static void test_waiting_for_cores_is_told(void **state)
{
    (void)state;
    static const struct {
        struct placement_wait wait;
        const char *expected; /* NULL: nothing is said */
    } cases[] = {
        {{.ranks = 1, .threads = 2}, NULL},                                 /* a kernel that does not tell */
        {{.computed = 100, .waited = 0.5, .ranks = 1, .threads = 2}, NULL}, /* an idle machine */
        {{.computed = 90.1, .waited = 9.9, .ranks = 1, .threads = 2}, NULL},
        {{.computed = 1, .waited = 1.9, .ranks = 1, .threads = 2}, NULL}, /* too short to matter */
        {{.computed = 30, .waited = 10, .ranks = 1, .threads = 2},
         "threads waited 10 s (25 % of the time) for cores others used:\n  use fewer --threads, or give this process cores of "
         "its own"},
        {{.computed = 30, .waited = 10, .ranks = 1, .threads = 1}, "used:\n  give this process cores of its own"},
        {{.computed = 30, .waited = 10, .rank = 2, .ranks = 4, .threads = 2, .host = "n7"},
         "threads of rank 2 on 'n7'\n  waited 10 s (25 % of the time) for cores others used:\n  use fewer --threads, fewer "
         "ranks on the host, or give each cores of its own"},
        {{.computed = 0, .waited = 3, .rank = 0, .ranks = 2, .threads = 1, .host = "n7"},
         "(100 % of the time) for cores others used:\n  start fewer ranks on the host, or give each cores of its own"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char advice[ERROR_TEXT];
        placement_wait_advice(&cases[i].wait, advice);
        if (!cases[i].expected)
            assert_string_equal(advice, "");
        else if (!strstr(advice, cases[i].expected))
            fail_msg("'%s' lacks '%s'", advice, cases[i].expected);
    }
}

/* What the kernel says of this process: it has computed, and a second of sleep is neither computing nor waiting. */
static void test_sleep_is_no_wait_for_cores(void **state)
{
    (void)state;
    struct comm alone = COMM_ALONE;
    struct placement_wait before, after;
    placement_waited(&alone, 1, &before);
    sleep(1);
    placement_waited(&alone, 1, &after);
    assert_true(before.computed > 0);
    assert_true(after.computed - before.computed < 0.5);
    assert_true(after.waited - before.waited < 0.5);
}

static void test_signals_are_noted_not_obeyed(void **state)
{
    (void)state;
    signals_catch(false, false);
    assert_int_equal(signals_seen(), 0);
    raise(SIGTERM);
    raise(SIGUSR1);
    raise(SIGPIPE);
    assert_int_equal(signals_seen(), SIGTERM);
    assert_string_equal(signals_name(SIGTERM), "SIGTERM");
    signals_release();
    struct sigaction now;
    assert_int_equal(sigaction(SIGTERM, NULL, &now), 0);
    assert_true(now.sa_handler == SIG_DFL);
}

int main(void)
{
    unsetenv("SLURM_JOB_ID");
    unsetenv("SLURM_RESTART_COUNT");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lock_is_exclusive_and_given_back),
        cmocka_unit_test(test_lock_of_a_dead_process_is_taken),
        cmocka_unit_test(test_number_of_the_process_used_again),
        cmocka_unit_test(test_lock_from_before_a_reboot),
        cmocka_unit_test(test_lock_of_another_host),
        cmocka_unit_test(test_lock_of_an_earlier_start_of_the_job),
        cmocka_unit_test(test_who_lost_the_lock_writes_nothing),
        cmocka_unit_test(test_earlier_holder_is_fenced_off_whatever_it_believes),
        cmocka_unit_test(test_removed_lock_fences_too),
        cmocka_unit_test(test_cannot_be_made),
        cmocka_unit_test(test_list_latest_and_prune),
        cmocka_unit_test(test_leftovers_go_at_the_start),
        cmocka_unit_test(test_lines_are_appended_and_cut),
        cmocka_unit_test(test_only_whole_lines_are_kept),
        cmocka_unit_test(test_full_disk_is_told),
        cmocka_unit_test(test_folders_and_texts),
        cmocka_unit_test(test_only_directories_of_runs),
        cmocka_unit_test(test_model_of_a_directory),
        cmocka_unit_test(test_advice_names_the_options),
        cmocka_unit_test(test_waiting_for_cores_is_told),
        cmocka_unit_test(test_sleep_is_no_wait_for_cores),
        cmocka_unit_test(test_signals_are_noted_not_obeyed),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
