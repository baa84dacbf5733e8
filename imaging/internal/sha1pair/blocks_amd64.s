#include "textflag.h"

// Two streams side by side, each in the way of Intel's SHA extensions: an
// instruction waits long for the one before it of its own stream, and the other
// stream fills the gap. Registers are, of the first and the second stream,
//
//	X0 X7       a, b, c, d
//	X1 X8       e of even groups of four rounds
//	X2 X9       e of odd groups
//	X3-X6 X10-X13  sixteen words of the message
//
// and X14 turns the bytes of words around. A group takes the words m and makes
// words for later groups: n1, n2 and n3 of the next one, two and three.
#define FIRST(k, a, e, en, m) \
	PADDL m, e; MOVO a, en; SHA1RNDS4 $k, e, a

#define SECOND(k, a, e, en, m, n3) \
	SHA1NEXTE m, e; MOVO a, en; SHA1RNDS4 $k, e, a; SHA1MSG1 m, n3

#define THIRD(k, a, e, en, m, n2, n3) \
	SHA1NEXTE m, e; MOVO a, en; SHA1RNDS4 $k, e, a; SHA1MSG1 m, n3; PXOR m, n2

#define FULL(k, a, e, en, m, n1, n2, n3) \
	SHA1NEXTE m, e; MOVO a, en; SHA1MSG2 m, n1; SHA1RNDS4 $k, e, a; SHA1MSG1 m, n3; PXOR m, n2

#define THIRDLAST(k, a, e, en, m, n1, n2) \
	SHA1NEXTE m, e; MOVO a, en; SHA1MSG2 m, n1; SHA1RNDS4 $k, e, a; PXOR m, n2

#define SECONDLAST(k, a, e, en, m, n1) \
	SHA1NEXTE m, e; MOVO a, en; SHA1MSG2 m, n1; SHA1RNDS4 $k, e, a

#define LAST(k, a, e, en, m) \
	SHA1NEXTE m, e; MOVO a, en; SHA1RNDS4 $k, e, a

#define LOAD(n, p, m) \
	MOVOU n(p), m; PSHUFB X14, m

DATA turn<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA turn<>+8(SB)/8, $0x0001020304050607
GLOBL turn<>(SB), RODATA|NOPTR, $16

// func blocks(h *[2]state, p, q *byte, n int)
TEXT ·blocks(SB), NOSPLIT, $64-32
	MOVQ  h+0(FP), DI
	MOVQ  p+8(FP), SI
	MOVQ  q+16(FP), DX
	MOVQ  n+24(FP), CX
	MOVOU turn<>(SB), X14
	MOVOU (DI), X0
	PSHUFD $0x1b, X0, X0
	PXOR  X1, X1
	PINSRD $3, 16(DI), X1
	MOVOU 20(DI), X7
	PSHUFD $0x1b, X7, X7
	PXOR  X8, X8
	PINSRD $3, 36(DI), X8

loop:
	MOVOU X0, 0(SP)
	MOVOU X1, 16(SP)
	MOVOU X7, 32(SP)
	MOVOU X8, 48(SP)

	LOAD(0, SI, X3)
	FIRST(0, X0, X1, X2, X3)
	LOAD(0, DX, X10)
	FIRST(0, X7, X8, X9, X10)

	LOAD(16, SI, X4)
	SECOND(0, X0, X2, X1, X4, X3)
	LOAD(16, DX, X11)
	SECOND(0, X7, X9, X8, X11, X10)

	LOAD(32, SI, X5)
	THIRD(0, X0, X1, X2, X5, X3, X4)
	LOAD(32, DX, X12)
	THIRD(0, X7, X8, X9, X12, X10, X11)

	LOAD(48, SI, X6)
	FULL(0, X0, X2, X1, X6, X3, X4, X5)
	LOAD(48, DX, X13)
	FULL(0, X7, X9, X8, X13, X10, X11, X12)

	FULL(0, X0, X1, X2, X3, X4, X5, X6)
	FULL(0, X7, X8, X9, X10, X11, X12, X13)

	FULL(1, X0, X2, X1, X4, X5, X6, X3)
	FULL(1, X7, X9, X8, X11, X12, X13, X10)

	FULL(1, X0, X1, X2, X5, X6, X3, X4)
	FULL(1, X7, X8, X9, X12, X13, X10, X11)

	FULL(1, X0, X2, X1, X6, X3, X4, X5)
	FULL(1, X7, X9, X8, X13, X10, X11, X12)

	FULL(1, X0, X1, X2, X3, X4, X5, X6)
	FULL(1, X7, X8, X9, X10, X11, X12, X13)

	FULL(1, X0, X2, X1, X4, X5, X6, X3)
	FULL(1, X7, X9, X8, X11, X12, X13, X10)

	FULL(2, X0, X1, X2, X5, X6, X3, X4)
	FULL(2, X7, X8, X9, X12, X13, X10, X11)

	FULL(2, X0, X2, X1, X6, X3, X4, X5)
	FULL(2, X7, X9, X8, X13, X10, X11, X12)

	FULL(2, X0, X1, X2, X3, X4, X5, X6)
	FULL(2, X7, X8, X9, X10, X11, X12, X13)

	FULL(2, X0, X2, X1, X4, X5, X6, X3)
	FULL(2, X7, X9, X8, X11, X12, X13, X10)

	FULL(2, X0, X1, X2, X5, X6, X3, X4)
	FULL(2, X7, X8, X9, X12, X13, X10, X11)

	FULL(3, X0, X2, X1, X6, X3, X4, X5)
	FULL(3, X7, X9, X8, X13, X10, X11, X12)

	FULL(3, X0, X1, X2, X3, X4, X5, X6)
	FULL(3, X7, X8, X9, X10, X11, X12, X13)

	THIRDLAST(3, X0, X2, X1, X4, X5, X6)
	THIRDLAST(3, X7, X9, X8, X11, X12, X13)

	SECONDLAST(3, X0, X1, X2, X5, X6)
	SECONDLAST(3, X7, X8, X9, X12, X13)

	LAST(3, X0, X2, X1, X6)
	LAST(3, X7, X9, X8, X13)

	MOVOU 16(SP), X15
	SHA1NEXTE X15, X1
	MOVOU 0(SP), X15
	PADDL X15, X0
	MOVOU 48(SP), X15
	SHA1NEXTE X15, X8
	MOVOU 32(SP), X15
	PADDL X15, X7

	ADDQ $64, SI
	ADDQ $64, DX
	DECQ CX
	JNZ  loop

	PSHUFD $0x1b, X0, X0
	MOVOU X0, (DI)
	PEXTRD $3, X1, 16(DI)
	PSHUFD $0x1b, X7, X7
	MOVOU X7, 20(DI)
	PEXTRD $3, X8, 36(DI)
	RET

// func cpuid(leaf, sub uint32) (a, b, c, d uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-24
	MOVL leaf+0(FP), AX
	MOVL sub+4(FP), CX
	CPUID
	MOVL AX, a+8(FP)
	MOVL BX, b+12(FP)
	MOVL CX, c+16(FP)
	MOVL DX, d+20(FP)
	RET
