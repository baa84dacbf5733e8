#include "textflag.h"

// Two levels of the transform for four blocks, 32 bytes of each at a time, in Y0 to
// Y3, with AVX2. A multiplication looks up the products of both nibbles of each byte.
// The block of the next group lies behind each block in the chunk: it is fetched
// meanwhile.

#define LOAD(r, y) \
	PREFETCHT1 1024(r)(CX*1); \
	VMOVDQU (r)(CX*1), y

#define FLY(low, high, lower, upper) \
	VPXOR low, high, high; \
	VPAND Y15, high, Y10; \
	VPSRLW $4, high, Y11; \
	VPAND Y15, Y11, Y11; \
	VPSHUFB Y10, lower, Y10; \
	VPSHUFB Y11, upper, Y11; \
	VPXOR Y10, low, low; \
	VPXOR Y11, low, low

// func quad(out, in *[4]*[1024]byte, by *[3]products)
TEXT ·quad(SB), NOSPLIT, $0-24
	MOVQ out+0(FP), DI
	MOVQ in+8(FP), SI
	MOVQ by+16(FP), AX

	VBROADCASTI128 0(AX), Y4
	VBROADCASTI128 16(AX), Y5
	VBROADCASTI128 32(AX), Y6
	VBROADCASTI128 48(AX), Y7
	VBROADCASTI128 64(AX), Y8
	VBROADCASTI128 80(AX), Y9
	MOVQ $15, DX
	MOVQ DX, X15
	VPBROADCASTB X15, Y15

	MOVQ 0(SI), R8
	MOVQ 8(SI), R9
	MOVQ 16(SI), R10
	MOVQ 24(SI), R11
	MOVQ 0(DI), R12
	MOVQ 8(DI), R13
	MOVQ 16(DI), BX
	MOVQ 24(DI), DX
	XORQ CX, CX

next:
	LOAD(R8, Y0)
	LOAD(R9, Y1)
	LOAD(R10, Y2)
	LOAD(R11, Y3)

	FLY(Y0, Y1, Y4, Y5)
	FLY(Y2, Y3, Y6, Y7)
	FLY(Y0, Y2, Y8, Y9)
	FLY(Y1, Y3, Y8, Y9)

	VMOVDQU Y0, (R12)(CX*1)
	VMOVDQU Y1, (R13)(CX*1)
	VMOVDQU Y2, (BX)(CX*1)
	VMOVDQU Y3, (DX)(CX*1)

	ADDQ $32, CX
	CMPQ CX, $1024
	JB   next
	VZEROUPPER
	RET
