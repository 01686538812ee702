/* A guest that sends every packet of UDP back to its sender, in some hundred instructions: no interrupts, no floating point, no standard library.
 *
 * It is entered as Xen's PVH says, which QEMU, cloud-hypervisor and Firecracker all do for a kernel that is an ELF with the note below. A host whose
 * KVM interprets unknown kernels instead of running them still gets through it at once. `ip=a.b.c.d` on the command line is its address.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

/* The entry in 32 bits: the first 4 GiB mapped as they are in pages of 2 MiB, long mode, a stack, then guest(). */
asm(".section .note.pvh,\"a\",@note\n"
    ".align 4\n.long 4, 8, 18\n.asciz \"Xen\"\n.quad entry\n"
    ".section .text\n.code32\n.globl entry\n"
    "entry: cld\n movl $stack, %esp\n movl %ebx, %edi\n"
    "movl $pdpt + 7, pml4\n"
    "movl $pd + 0x0007, pdpt\n movl $pd + 0x1007, pdpt + 8\n"
    "movl $pd + 0x2007, pdpt + 16\n movl $pd + 0x3007, pdpt + 24\n"
    "xorl %ecx, %ecx\n"
    "1: movl %ecx, %eax\n shll $21, %eax\n orl $0x87, %eax\n movl %eax, pd(, %ecx, 8)\n"
    "incl %ecx\n cmpl $2048, %ecx\n jne 1b\n"
    "movl $pml4, %eax\n movl %eax, %cr3\n movl %cr4, %eax\n orl $0x20, %eax\n movl %eax, %cr4\n"
    "movl $0xc0000080, %ecx\n rdmsr\n orl $0x100, %eax\n wrmsr\n"
    "movl %cr0, %eax\n orl $0x80000001, %eax\n movl %eax, %cr0\n lgdt gdtr\n ljmp $8, $long_mode\n"
    ".code64\nlong_mode: movw $16, %ax\n movw %ax, %ds\n movw %ax, %es\n movw %ax, %ss\n"
    "movl %edi, %edi\n call guest\n2: cli\n hlt\n jmp 2b\n"
    ".align 8\ngdt: .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff\ngdtr: .word 23\n.long gdt\n"
    ".section .bss\n.align 4096\n.globl pml4, far_pdpt, far_pd\n"
    "pml4: .skip 4096\npdpt: .skip 4096\npd: .skip 16384\nfar_pdpt: .skip 4096\nfar_pd: .skip 4096\n"
    ".skip 16384\nstack:\n.section .text\n");
extern u64 pml4[], far_pdpt[], far_pd[];

static void out8(u16 port, u8 value) { asm volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static void out32(u16 port, u32 value) { asm volatile("outl %0, %1" ::"a"(value), "Nd"(port)); }
static u32 in32(u16 port) {
    u32 value;
    asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static void say(const char *text) {
    while (*text) out8(0x3f8, *text++);
}

#define R8(at) (*(volatile u8 *)(at))
#define R16(at) (*(volatile u16 *)(at))
#define R32(at) (*(volatile u32 *)(at))
#define R64(at) (*(volatile u64 *)(at))

/* Two queues of virtio, laid out so that the oldest form of it takes them as well. Firecracker wants room for 64 KiB in the first. */
enum { SLOTS = 64, ROOM = 2048, MERGED = 1 << 15, MAC = 1 << 5 };
struct descriptor { u64 at; u32 length; u16 flags, next; };
struct ring {
    struct descriptor slots[SLOTS];
    u16 given_flags, given; u16 given_ring[SLOTS]; u8 gap[4096 - 18 * SLOTS - 4];
    u16 used_flags, used; struct { u32 slot, length; } used_ring[SLOTS]; u8 rest[4096 - 8 * SLOTS - 4];
};
static struct ring receive __attribute__((aligned(4096))), transmit __attribute__((aligned(4096)));
static u8 buffers[SLOTS][ROOM] __attribute__((aligned(16))), reply[ROOM] __attribute__((aligned(16)));
static u16 received, sent;
static u32 head, address; /* the head of a packet in bytes, our address */
static u8 mac[6];
static u64 bells[2];
static int bells_are_mmio;

static void ring_bell(u32 queue) {
    asm volatile("mfence" ::: "memory");
    if (bells_are_mmio) R32(bells[queue]) = queue;
    else R16(bells[queue]) = queue;
}
static void give(u16 slot) {
    receive.slots[slot] = (struct descriptor){(u64)buffers[slot], ROOM, 2, 0};
    receive.given_ring[receive.given % SLOTS] = slot;
    asm volatile("" ::: "memory");
    receive.given++;
}
static void send(u32 length) {
    transmit.slots[0] = (struct descriptor){(u64)reply, head + length, 0, 0};
    transmit.given_ring[transmit.given % SLOTS] = 0;
    asm volatile("" ::: "memory");
    transmit.given++;
    ring_bell(1);
    while (*(volatile u16 *)&transmit.used == sent) asm volatile("pause");
    sent++;
}

/* virtio over memory-mapped registers: version 1 (QEMU's microvm) and 2 (Firecracker). */
static int card_at(u64 at) {
    int old = R32(at + 0x04) == 1;
    head = old ? 10 : 12;
    for (u32 status = 0; status < 4; status = 2 * status + 1) R32(at + 0x70) = status;
    R32(at + 0x14) = 0;
    u32 offered = R32(at + 0x10);
    R32(at + 0x24) = 0;
    R32(at + 0x20) = offered & (old ? MAC : MAC | MERGED);
    if (old) R32(at + 0x28) = 4096;
    else {
        R32(at + 0x24) = 1;
        R32(at + 0x20) = 1;
        R32(at + 0x70) = 11;
        if (!(R32(at + 0x70) & 8)) return 0;
    }
    for (u32 queue = 0; queue < 2; queue++) {
        struct ring *ring = queue ? &transmit : &receive;
        R32(at + 0x30) = queue;
        R32(at + 0x38) = SLOTS;
        if (old) {
            R32(at + 0x3c) = 4096;
            R32(at + 0x40) = (u64)ring >> 12;
        } else {
            R32(at + 0x80) = (u64)ring->slots;
            R32(at + 0x90) = (u64)&ring->given_flags;
            R32(at + 0xa0) = (u64)&ring->used_flags;
            R32(at + 0x44) = 1;
        }
        bells[queue] = at + 0x50;
    }
    bells_are_mmio = 1;
    for (int i = 0; i < 6; i++) mac[i] = R8(at + 0x100 + i);
    R32(at + 0x70) = old ? 7 : 15;
    return 1;
}

/* virtio over PCI (cloud-hypervisor), whose registers may lie beyond 4 GiB. */
static u32 pci(u32 device, u32 at) {
    out32(0xcf8, 0x80000000u | device << 11 | at);
    return in32(0xcfc);
}
static u64 window(u32 device, u32 number) {
    u32 low = pci(device, 16 + 4 * number);
    u64 at = low & ~15u;
    if ((low & 6) == 4) at |= (u64)pci(device, 20 + 4 * number) << 32;
    if (at >> 32) {
        u64 gib = at >> 30;
        pml4[at >> 39 & 511] = (u64)far_pdpt + 7;
        far_pdpt[gib & 511] = (u64)far_pd + 7;
        for (u64 i = 0; i < 512; i++) far_pd[i] = (gib << 30 | i << 21) + 0x87;
        asm volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" ::: "rax", "memory");
    }
    return at;
}
static int card_in(u32 device) {
    u64 common = 0, bell = 0, config = 0;
    u32 stride = 0;
    u32 command = pci(device, 4);
    out32(0xcf8, 0x80000000u | device << 11 | 4);
    out32(0xcfc, command | 6);
    for (u32 at = pci(device, 0x34) & 0xfc; at;) {
        u32 begin = pci(device, at), part = begin >> 24;
        if ((begin & 255) == 9 && (part == 1 || part == 2 || part == 4)) {
            u64 place = window(device, pci(device, at + 4) & 255) + pci(device, at + 8);
            if (part == 1) common = place;
            if (part == 4) config = place;
            if (part == 2) {
                bell = place;
                stride = pci(device, at + 16);
            }
        }
        at = begin >> 8 & 0xfc;
    }
    if (!common || !bell || !config) return 0;
    head = 12;
    for (u8 status = 0; status < 4; status = 2 * status + 1) R8(common + 20) = status;
    R32(common + 0) = 0;
    u32 offered = R32(common + 4);
    R32(common + 8) = 0;
    R32(common + 12) = offered & (MAC | MERGED);
    R32(common + 8) = 1;
    R32(common + 12) = 1;
    R8(common + 20) = 11;
    if (!(R8(common + 20) & 8)) return 0;
    for (u32 queue = 0; queue < 2; queue++) {
        struct ring *ring = queue ? &transmit : &receive;
        R16(common + 22) = queue;
        R16(common + 24) = SLOTS;
        R16(common + 26) = 0xffff;
        R64(common + 32) = (u64)ring->slots;
        R64(common + 40) = (u64)&ring->given_flags;
        R64(common + 48) = (u64)&ring->used_flags;
        bells[queue] = bell + (u64)stride * R16(common + 30);
        R16(common + 28) = 1;
    }
    for (int i = 0; i < 6; i++) mac[i] = R8(config + i);
    R8(common + 20) = 15;
    return 1;
}

static int card(void) {
    for (u32 device = 0; device < 32; device++)
        if (pci(device, 0) == 0x10411af4) return card_in(device);
    for (u64 at = 0xc0000000; at < 0xc0010000; at += 0x1000) /* Firecracker */
        if (R32(at) == 0x74726976 && R32(at + 8) == 1) return card_at(at);
    for (u64 at = 0xfeb00000; at < 0xfeb04000; at += 0x200) /* QEMU's microvm */
        if (R32(at) == 0x74726976 && R32(at + 8) == 1) return card_at(at);
    return 0;
}

static void read_address(const char *text) {
    for (; *text; text++) {
        if (text[0] != 'i' || text[1] != 'p' || text[2] != '=') continue;
        u32 byte = 0;
        for (text += 3;; text++) {
            if (*text >= '0' && *text <= '9') byte = byte * 10 + *text - '0';
            else {
                address = address << 8 | byte;
                byte = 0;
                if (*text != '.') return;
            }
        }
    }
}

static void copy(u8 *to, const u8 *from, u32 count) {
    while (count--) *to++ = *from++;
}
static u32 word(const u8 *at) { return at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]; }

/* A question for our address, or a packet of UDP for it: sums over what is only exchanged stay as they are. */
static void answer(const u8 *packet, u32 length) {
    u8 *to = reply + head;
    if (length < 42 || length > ROOM - 64) return;
    copy(to, packet + 6, 6);
    copy(to + 6, mac, 6);
    copy(to + 12, packet + 12, length - 12);
    if (packet[12] == 8 && packet[13] == 6 && packet[21] == 1 && word(packet + 38) == address) {
        to[21] = 2;
        copy(to + 22, mac, 6);
        copy(to + 28, packet + 38, 4);
        copy(to + 32, packet + 22, 10);
        send(42);
    } else if (packet[12] == 8 && packet[13] == 0 && packet[14] == 0x45 && packet[23] == 17 && word(packet + 30) == address) {
        copy(to + 26, packet + 30, 4);
        copy(to + 30, packet + 26, 4);
        copy(to + 34, packet + 36, 2);
        copy(to + 36, packet + 34, 2);
        if (length >= 46 && word(packet + 42) == 0x626f6f74) out8(0x64, 0xfe); /* "boot": it resets itself */
        to[40] = to[41] = 0; /* no sum: the host may have left its own unfinished */
        send(length);
    }
}

void guest(const u8 *start_info) {
    read_address((const char *)R64(start_info + 24));
    if (!card()) {
        say("PANIC: no network card\n");
        return;
    }
    for (u16 slot = 0; slot < SLOTS; slot++) give(slot);
    ring_bell(0);
    say("up\n");
    for (;;) {
        while (*(volatile u16 *)&receive.used == received) asm volatile("pause");
        u32 slot = receive.used_ring[received % SLOTS].slot, length = receive.used_ring[received % SLOTS].length;
        received++;
        answer(buffers[slot] + head, length - head);
        give(slot);
        ring_bell(0);
    }
}
