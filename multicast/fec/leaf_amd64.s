#include "textflag.h"

// The first four levels of the transform for 16 blocks, 64 bytes of each at a
// time, in Z0 to Z15. Multiplications are by 8 by 8 bit matrices. The block of the
// next group lies behind each block in the chunk: it is fetched meanwhile.

#define LOAD(i, z) \
	MOVQ i*8(BX), R8; \
	PREFETCHT1 1024(R8)(CX*1); \
	VMOVDQU64 (R8)(CX*1), z

#define STORE(i, z) VMOVDQU64 z, i*1024(DI)(CX*1)

#define FLY(low, high, twist) \
	VPXORQ low, high, high; \
	VGF2P8AFFINEQB.BCST $0, twist*8(AX), high, Z16; \
	VPXORQ Z16, low, low

// func leafVector(out *byte, in *[16]*[1024]byte, twists *[15]uint64)
TEXT ·leafVector(SB), NOSPLIT, $0-24
	MOVQ out+0(FP), DI
	MOVQ in+8(FP), BX
	MOVQ twists+16(FP), AX
	XORQ CX, CX

next:
	LOAD(0, Z0)
	LOAD(1, Z1)
	LOAD(2, Z2)
	LOAD(3, Z3)
	LOAD(4, Z4)
	LOAD(5, Z5)
	LOAD(6, Z6)
	LOAD(7, Z7)
	LOAD(8, Z8)
	LOAD(9, Z9)
	LOAD(10, Z10)
	LOAD(11, Z11)
	LOAD(12, Z12)
	LOAD(13, Z13)
	LOAD(14, Z14)
	LOAD(15, Z15)

	FLY(Z0, Z1, 0)
	FLY(Z2, Z3, 1)
	FLY(Z4, Z5, 2)
	FLY(Z6, Z7, 3)
	FLY(Z8, Z9, 4)
	FLY(Z10, Z11, 5)
	FLY(Z12, Z13, 6)
	FLY(Z14, Z15, 7)

	FLY(Z0, Z2, 8)
	FLY(Z1, Z3, 8)
	FLY(Z4, Z6, 9)
	FLY(Z5, Z7, 9)
	FLY(Z8, Z10, 10)
	FLY(Z9, Z11, 10)
	FLY(Z12, Z14, 11)
	FLY(Z13, Z15, 11)

	FLY(Z0, Z4, 12)
	FLY(Z1, Z5, 12)
	FLY(Z2, Z6, 12)
	FLY(Z3, Z7, 12)
	FLY(Z8, Z12, 13)
	FLY(Z9, Z13, 13)
	FLY(Z10, Z14, 13)
	FLY(Z11, Z15, 13)

	FLY(Z0, Z8, 14)
	FLY(Z1, Z9, 14)
	FLY(Z2, Z10, 14)
	FLY(Z3, Z11, 14)
	FLY(Z4, Z12, 14)
	FLY(Z5, Z13, 14)
	FLY(Z6, Z14, 14)
	FLY(Z7, Z15, 14)

	STORE(0, Z0)
	STORE(1, Z1)
	STORE(2, Z2)
	STORE(3, Z3)
	STORE(4, Z4)
	STORE(5, Z5)
	STORE(6, Z6)
	STORE(7, Z7)
	STORE(8, Z8)
	STORE(9, Z9)
	STORE(10, Z10)
	STORE(11, Z11)
	STORE(12, Z12)
	STORE(13, Z13)
	STORE(14, Z14)
	STORE(15, Z15)

	ADDQ $64, CX
	CMPQ CX, $1024
	JB   next
	VZEROUPPER
	RET
