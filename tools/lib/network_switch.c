/* An Ethernet switch in user space, whose links have a bandwidth and a delay: what tools/check-network-model puts
 * between hosts that are network namespaces, where the kernel has no netem.
 *
 *   network_switch DELAY_US MBIT NAMESPACE...
 *
 * Makes a tap device "wire" in each namespace (a path such as /proc/PID/ns/net) and forwards between them until it is
 * killed; says "ready" first. Addresses are the caller's business. MBIT 0: no limit.
 *
 * A frame occupies its sender's link for bytes / bandwidth, then, or when earlier frames have passed, its
 * receiver's, and arrives a delay later. Frames wait in the switch for the receiver's link and in the sender's
 * device for its own: nothing is ever dropped, as on a network with flow control. Frames of up to 64 KiB come
 * unsegmented from the kernel (TSO) and go on so, which makes the switch fast; they take the time that their
 * segments would, with preambles, gaps and checksums. Runs at real-time priority: a wire needs no processor. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define PORTS 64
#define FRAME (sizeof(struct virtio_net_hdr) + 14 + 65536)
#define FRAMES 512     /* under way, at most */
#define AHEAD 200e-6   /* seconds of work that a sender's link takes in advance */
#define ON_THE_WIRE 24 /* bytes around each frame: preamble, checksum, gap */
#define HEADERS 66     /* Ethernet, IPv4 and TCP with timestamps: repeated in each segment */

struct frame {
    double due;
    size_t bytes;
    unsigned char data[FRAME];
};

struct port {
    int device;
    unsigned char address[6]; /* of the host behind it, once it has sent */
    double sends_until, receives_until;
    struct frame *queue[FRAMES]; /* a ring: frames for it, in the order in which they are due */
    unsigned first, last;
};

static struct frame *free_frame[FRAMES];
static int free_frames;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static _Noreturn void fail(const char *what, const char *object)
{
    fprintf(stderr, "network_switch: cannot %s '%s': %s\n", what, object, strerror(errno));
    exit(69);
}

static void open_port(struct port *port, const char *namespace)
{
    int space = open(namespace, O_RDONLY | O_CLOEXEC);
    if (space < 0 || setns(space, CLONE_NEWNET) != 0)
        fail("enter", namespace);
    close(space);
    struct ifreq request = {.ifr_name = "wire", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    port->device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (port->device < 0 || ioctl(port->device, TUNSETIFF, &request) != 0 ||
        ioctl(port->device, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) != 0)
        fail("make a tap device in", namespace);
}

/* Bytes that the frame would be on a wire. */
static double wire_bytes(const unsigned char *data, size_t bytes)
{
    struct virtio_net_hdr header;
    memcpy(&header, data, sizeof header);
    bytes -= sizeof header;
    size_t segments = 1;
    if (header.gso_type != VIRTIO_NET_HDR_GSO_NONE && header.gso_size > 0)
        segments = (bytes - HEADERS + header.gso_size - 1) / header.gso_size;
    return (double)(bytes + (segments - 1) * HEADERS + segments * ON_THE_WIRE);
}

/* Queues the frame for whom it is meant, or copies of it for all. */
static void forward(struct port *ports, int count, int from, struct frame *frame, double delay, double rate)
{
    const unsigned char *to = frame->data + sizeof(struct virtio_net_hdr), *sender = to + 6;
    struct port *in = &ports[from];
    double time = now(), seconds = rate > 0 ? wire_bytes(frame->data, frame->bytes) / rate : 0;
    bool known = false;
    memcpy(in->address, sender, 6);
    for (int p = 0; p < count; p++)
        known = known || (p != from && memcmp(ports[p].address, to, 6) == 0);
    double begun = in->sends_until > time ? in->sends_until : time;
    in->sends_until = begun + seconds;
    for (int p = 0; p < count; p++) {
        struct port *out = &ports[p];
        if (p == from || (known && memcmp(out->address, to, 6) != 0))
            continue;
        struct frame *one = frame;
        if (!known) {
            one = free_frame[--free_frames];
            one->bytes = frame->bytes;
            memcpy(one->data, frame->data, frame->bytes);
        }
        out->receives_until = (out->receives_until > begun ? out->receives_until : begun) + seconds;
        one->due = out->receives_until + delay;
        out->queue[out->last++ % FRAMES] = one;
    }
    if (!known)
        free_frame[free_frames++] = frame;
}

/* Hands over what is due; returns when the next frame is. */
static double deliver(struct port *ports, int count)
{
    double next = now() + 1;
    for (int p = 0; p < count; p++) {
        struct port *out = &ports[p];
        for (; out->first != out->last; out->first++) {
            struct frame *frame = out->queue[out->first % FRAMES];
            if (frame->due > now()) {
                next = frame->due < next ? frame->due : next;
                break;
            }
            (void)!write(out->device, frame->data, frame->bytes);
            free_frame[free_frames++] = frame;
        }
    }
    return next;
}

int main(int arguments, char **argument)
{
    static struct port ports[PORTS];
    int count = arguments - 3;
    if (count < 1 || count > PORTS) {
        fprintf(stderr, "usage: network_switch DELAY_US MBIT NAMESPACE...\n");
        return 64;
    }
    double delay = atof(argument[1]) * 1e-6, rate = atof(argument[2]) * 1e6 / 8;
    for (int p = 0; p < count; p++)
        open_port(&ports[p], argument[3 + p]);
    (void)prctl(PR_SET_PDEATHSIG, 9);
    (void)prctl(PR_SET_TIMERSLACK, 1);
    while (free_frames < FRAMES)
        if (!(free_frame[free_frames++] = malloc(sizeof(struct frame))))
            fail("hold frames of", argument[0]);
    (void)mlockall(MCL_CURRENT | MCL_FUTURE);
    (void)sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
    puts("ready");
    fflush(stdout);
    for (;;) {
        double next = deliver(ports, count), time = now();
        struct pollfd poll[PORTS];
        for (int p = 0; p < count; p++) {
            bool may = ports[p].sends_until < time + AHEAD && free_frames > 2 * PORTS;
            poll[p] = (struct pollfd){.fd = may ? ports[p].device : -1, .events = POLLIN};
            if (!may && ports[p].sends_until - AHEAD > time && ports[p].sends_until - AHEAD < next)
                next = ports[p].sends_until - AHEAD;
        }
        double wait = next > time ? next - time : 0;
        struct timespec timeout = {.tv_sec = (time_t)wait, .tv_nsec = (long)(1e9 * (wait - (double)(time_t)wait))};
        if (ppoll(poll, (nfds_t)count, &timeout, NULL) <= 0)
            continue;
        for (int p = 0; p < count; p++) {
            if (!(poll[p].revents & POLLIN))
                continue;
            struct frame *frame = free_frame[--free_frames];
            ssize_t got = read(ports[p].device, frame->data, sizeof frame->data);
            frame->bytes = got > 0 ? (size_t)got : 0;
            if (frame->bytes > sizeof(struct virtio_net_hdr) + 14)
                forward(ports, count, p, frame, delay, rate);
            else
                free_frame[free_frames++] = frame;
        }
    }
}
