//! Kernels of a few instructions: multiboot images (version 1, flat) that QEMU boots at once. Each behaves in one way.

/// Where the image is loaded.
const BASE: u32 = 0x0010_0000;
/// The serial port.
const COM1: u16 = 0x3f8;

/// A program in machine code.
#[derive(Debug, Default)]
pub struct Kernel {
    code: Vec<u8>,
}

impl Kernel {
    /// Writes text to the serial port.
    pub fn say(mut self, text: &str) -> Self {
        for byte in text.bytes() {
            self.out_byte(COM1, byte);
        }
        self
    }

    /// Writes the same byte to the serial port forever.
    pub fn babble(mut self) -> Self {
        let [low, high] = COM1.to_le_bytes();
        // mov dx, COM1; mov al, 'x'; again: out dx, al; jmp again
        self.code.extend([0x66, 0xba, low, high, 0xb0, b'x', 0xee, 0xeb, 0xfd]);
        self
    }

    /// Halts with interrupts disabled, as a kernel does after a panic.
    pub fn halt(mut self) -> Self {
        // cli; again: hlt; jmp again
        self.code.extend([0xfa, 0xf4, 0xeb, 0xfd]);
        self
    }

    /// Loops forever, as a kernel that hangs.
    pub fn spin(mut self) -> Self {
        self.code.extend([0xeb, 0xfe]);
        self
    }

    /// A fault whose handler faults twice more: the processor gives up and the machine resets.
    pub fn triple_fault(mut self) -> Self {
        // push 0; push 0; lidt [esp]; int3
        self.code.extend([0x6a, 0, 0x6a, 0, 0x0f, 0x01, 0x1c, 0x24, 0xcc]);
        self
    }

    /// Powers the machine off by q35's power management registers.
    pub fn power_off(mut self) -> Self {
        // mov dx, 0x604; mov ax, 0x2000; out dx, ax
        self.code
            .extend([0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00, 0x20, 0x66, 0xef]);
        self.halt()
    }

    fn out_byte(&mut self, port: u16, byte: u8) {
        let [low, high] = port.to_le_bytes();
        // mov dx, port; mov al, byte; out dx, al
        self.code.extend([0x66, 0xba, low, high, 0xb0, byte, 0xee]);
    }

    /// The image: the multiboot header with the addresses of a flat binary, then the program.
    pub fn image(&self) -> Vec<u8> {
        let (magic, flags) = (0x1bad_b002_u32, 0x0001_0000_u32);
        let header_len = 32;
        let end = BASE + header_len + u32::try_from(self.code.len()).unwrap();
        let header = [
            magic,
            flags,
            0_u32.wrapping_sub(magic.wrapping_add(flags)),
            BASE,
            BASE,
            end,
            end + 0x1000,
            BASE + header_len,
        ];
        let mut image: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
        image.extend(&self.code);
        image
    }
}
