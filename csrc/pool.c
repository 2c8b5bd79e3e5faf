/* See pool.h. */

#define _GNU_SOURCE /* pthread_sigmask, pthread_atfork, affinity */

#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#define RELAX() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define RELAX() __asm__ volatile("yield")
#else
#define RELAX() ((void)0)
#endif

/* Turns of the spin loop before a worker sleeps (some 50 us: longer than Python takes between two epochs),
 * before a barrier yields its core to a thread that may be holding up the others, and before it begins to
 * pause between two looks: a pause is as long as the trip that is waited for. */
#define SPIN_SLEEP 4000
#define SPIN_YIELD 2000
#define SPIN_EAGER 100

#if defined(__linux__)
typedef cpu_set_t nn_cpus;
#else
typedef char nn_cpus; /* nothing is known about them */
#endif

/* A worker. It waits for a task of its own: those that a task has no use for sleep on. */
typedef struct nn_thread {
    _Alignas(2 * 64) atomic_uint tasks; /* how many it was given; it waits for the next one */
    pthread_t id;
    /* changed with the lock held: */
    pthread_cond_t wake;
    bool asleep;
} nn_thread;

static struct {
    pthread_mutex_t lock;
    int workers;        /* threads made, besides the caller */
    atomic_bool busy;   /* a task is running */
    atomic_int running; /* workers that have not finished the current task */
    int threads;        /* of the current task */
    nn_task task;
    void *context;
    nn_thread of[NN_MAX_THREADS]; /* of[i] is thread i + 1 */
    nn_cpus allowed; /* where the last caller might run, and so its workers; changed with the lock held */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* A thread that wakes another one is expected to sleep soon: Linux may put the woken one behind it, on the
 * same processor, where it waits for milliseconds while the next processor idles. So workers that sleep are
 * sent to any processor but their caller's, and may move again once they are awake. Both with the lock held.
 */
#if defined(__linux__)
static void send_away(int workers) {
    const int here = sched_getcpu();
    if (here < 0 || sched_getaffinity(0, sizeof pool.allowed, &pool.allowed) != 0) CPU_ZERO(&pool.allowed);
    nn_cpus elsewhere = pool.allowed;
    if (here >= 0 && here < CPU_SETSIZE) CPU_CLR(here, &elsewhere);
    for (int i = 0; i < workers && CPU_COUNT(&elsewhere) > 0; i++) {
        if (pool.of[i].asleep) pthread_setaffinity_np(pool.of[i].id, sizeof elsewhere, &elsewhere);
    }
}
static void come_back(void) {
    if (CPU_COUNT(&pool.allowed) > 0)
        pthread_setaffinity_np(pthread_self(), sizeof pool.allowed, &pool.allowed);
}
#else
static void send_away(int workers) { (void)workers; }
static void come_back(void) {}
#endif

static void *work(void *argument) {
    nn_thread *self = argument;
    const int thread = (int)(self - pool.of) + 1;
    for (unsigned seen = 0;; seen++) {
        int spins = 0;
        while (atomic_load_explicit(&self->tasks, memory_order_acquire) == seen) {
            if (++spins < SPIN_SLEEP) {
                RELAX();
                continue;
            }
            pthread_mutex_lock(&pool.lock);
            if (atomic_load(&self->tasks) == seen) {
                self->asleep = true;
                while (atomic_load(&self->tasks) == seen) pthread_cond_wait(&self->wake, &pool.lock);
                self->asleep = false;
                come_back();
            }
            pthread_mutex_unlock(&pool.lock);
        }
        pool.task(pool.context, thread, pool.threads);
        atomic_fetch_sub_explicit(&pool.running, 1, memory_order_release);
    }
    return NULL;
}

/* A child has the forking thread only: it starts without workers. What they were doing is lost with them, and
 * belonged to the parent. */
static void forget_workers(void) {
    pool.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    pool.workers = 0;
    atomic_store(&pool.busy, false);
    atomic_store(&pool.running, 0);
}

/* Makes workers up to `wanted`; fewer if the system refuses. Called by the one who holds `busy`. */
static void hire(int wanted) {
    static bool registered;
    if (!registered) registered = pthread_atfork(NULL, NULL, forget_workers) == 0;
    if (!registered) return;
    sigset_t all, before; /* signals are the program's business: workers take none */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.workers < wanted) {
        nn_thread *worker = &pool.of[pool.workers];
        worker->wake = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
        worker->asleep = false;
        atomic_store(&worker->tasks, 0);
        if (pthread_create(&worker->id, NULL, work, worker) != 0) break;
        pthread_detach(worker->id);
        pool.workers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void nn_pool_run(nn_task task, void *context, int threads) {
    bool idle = false;
    if (threads > NN_MAX_THREADS) threads = NN_MAX_THREADS;
    if (threads < 2 || !atomic_compare_exchange_strong(&pool.busy, &idle, true)) {
        task(context, 0, 1);
        return;
    }
    hire(threads - 1);
    pool.task = task;
    pool.context = context;
    pool.threads = threads < pool.workers + 1 ? threads : pool.workers + 1;
    const int used = pool.threads;
    bool asleep = false;
    atomic_store(&pool.running, used - 1);
    pthread_mutex_lock(&pool.lock);
    for (int i = 0; i < used - 1; i++) asleep |= pool.of[i].asleep;
    if (asleep) send_away(used - 1);
    for (int i = 0; i < used - 1; i++) {
        atomic_fetch_add_explicit(&pool.of[i].tasks, 1, memory_order_release);
        if (pool.of[i].asleep) pthread_cond_signal(&pool.of[i].wake);
    }
    pthread_mutex_unlock(&pool.lock);
    task(context, 0, used);
    int spins = 0;
    while (atomic_load_explicit(&pool.running, memory_order_acquire) != 0) {
        if (++spins % SPIN_YIELD == 0) sched_yield();
        RELAX();
    }
    atomic_store(&pool.busy, false);
}

bool nn_pool_is_lost(void) { return !atomic_load(&pool.busy); }

void nn_barrier_zero(nn_barrier *barrier, int threads) {
    for (int i = 0; i < threads; i++) atomic_store_explicit(&barrier->of[i].round, 0, memory_order_relaxed);
}

void nn_barrier_wait(nn_barrier *barrier, int thread, int threads) {
    if (threads == 1) return;
    const unsigned round = atomic_load_explicit(&barrier->of[thread].round, memory_order_relaxed) + 1;
    atomic_store_explicit(&barrier->of[thread].round, round, memory_order_release);
    for (int i = 0; i < threads; i++) {
        int spins = 0;
        /* a worker may have come to the next round already: its number is ahead, modulo 2^32 */
        while ((int)(atomic_load_explicit(&barrier->of[i].round, memory_order_acquire) - round) < 0) {
            if (++spins % SPIN_YIELD == 0) {
                if (nn_pool_is_lost()) return;
                sched_yield();
            }
            if (spins > SPIN_EAGER) RELAX();
        }
    }
}
