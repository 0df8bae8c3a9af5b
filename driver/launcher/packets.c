/* One packet to or from the agent, with descriptors (unix(7), SCM_RIGHTS). */
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The agent sends a keep-alive every 5 s. */
#define AGENT_SILENCE_MS 30000

/* Sends one packet with up to two descriptors. 0 or -1. */
int send_packet(int to, const void *data, size_t size, const int *descriptors, int count)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {0};
    struct iovec part = {(void *)data, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        memcpy(CMSG_DATA(header), descriptors, (size_t)count * sizeof(int));
    }
    ssize_t sent;
    while ((sent = sendmsg(to, &message, MSG_NOSIGNAL)) < 0 && errno == EINTR)
        ;
    return sent == (ssize_t)size ? 0 : -1;
}

/* Takes the descriptors that came with a message. `packet` gets one of them. Whether it is the only one, or none came.
 * The buffer is as large as for one, but where it is padded the kernel puts in another. */
static int take_descriptors(struct msghdr *message, struct packet *packet)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    packet->descriptor = -1;
    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        return 1;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof packet->descriptor;
    for (size_t index = 0; index < count; index++) {
        if (packet->descriptor >= 0)
            close(packet->descriptor);
        memcpy(&packet->descriptor, CMSG_DATA(header) + index * sizeof packet->descriptor, sizeof packet->descriptor);
    }
    return count <= 1;
}

/* Waits for one packet. 1: it is there. 0: the agent has closed the connection. -1: it is silent, or sends nonsense.
 * The caller closes the descriptor. */
int receive_packet(int from, struct packet *packet)
{
    for (;;) {
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
        struct iovec part = {packet->bytes, MAX_PACKET_BYTES};
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        struct pollfd readable = {from, POLLIN, 0};
        int ready = poll(&readable, 1, AGENT_SILENCE_MS);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready == 0) {
            say("the agent has not answered for %d s; compiling locally", AGENT_SILENCE_MS / 1000);
            return -1;
        }
        ssize_t size = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return 0;
        int sound = take_descriptors(&message, packet) && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
        packet->size = (size_t)size;
        packet->bytes[size] = 0;
        if (sound)
            return 1;
        if (packet->descriptor >= 0)
            close(packet->descriptor);
        say("a packet of the agent is too large; compiling locally");
        return -1;
    }
}
