/* Chooses BLIS's kernels for this CPU, and tests the chosen one. */
#include "unroll/sys/blas.h"

#include <blis.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "blas_private.h"
#include "unroll/base/build_info.h"

#if defined(BLIS_VERSION_STRING) /* BLIS 1.0 and later say their version */
typedef gemm_ukr_ft kernel_function;
#define get_kernel bli_cntx_get_ukr_dt
#define prefers_rows bli_cntx_ukr_prefers_rows_dt
#else
typedef sgemm_ukr_ft kernel_function;
#define get_kernel bli_cntx_get_l3_vir_ukr_dt
#define prefers_rows bli_cntx_l3_vir_ukr_prefers_rows_dt
#endif

/* Sub-configurations, if this BLIS was built with them. BLIS ends the program if it is told to use another one. */
#define NOT_BUILT (-1)
#if defined(BLIS_CONFIG_SKX)
#define AVX512_KERNELS BLIS_ARCH_SKX
#else
#define AVX512_KERNELS NOT_BUILT
#endif
#if defined(BLIS_CONFIG_HASWELL)
#define AVX2_KERNELS BLIS_ARCH_HASWELL
#else
#define AVX2_KERNELS NOT_BUILT
#endif

/* BLIS reads BLIS_ARCH_TYPE as the number of a sub-configuration when it first looks for the CPU. Its list of AMD's
 * families ends with Zen 3, before AMD had AVX-512. On Intel's CPUs it takes the AVX-512 kernels only if the CPU's name
 * tells it of two units, and virtual machines hide that name. So a Zen 5 reaches 35 GFLOP/s instead of 190, a Xeon of
 * 2024 112 instead of 172. VBMI2 marks the generations whose servers gain by AVX-512: Ice Lake, Zen 4 and later. */
static enum status choose_kernels(struct error *e)
{
    enum status status = build_check_arch(e);
    if (status)
        return status;
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                  __builtin_cpu_supports("avx512vbmi2");
    bool lowered = build_is_lowered(); /* a host with AVX-512 shall compute as one without */
    int kernels = lowered ? AVX2_KERNELS : avx512 ? AVX512_KERNELS : NOT_BUILT;
    if (getenv("BLIS_ARCH_TYPE") || kernels == NOT_BUILT)
        return STATUS_OK;
    char number[16];
    snprintf(number, sizeof number, "%d", kernels);
    if (setenv("BLIS_ARCH_TYPE", number, 1) != 0)
        return error_set(e, STATUS_OS, "out of memory for BLIS's choice of kernels; use more memory per rank");
#endif
    return STATUS_OK;
}

#define PROBE_K 41 /* kernels take k in fours or eights: some of each, and a remainder */

/* Whether the tile's kernel gives, bit for bit, what blas.h says. Some 10 us. */
static bool adds_in_order(const struct blas_tile *tile)
{
    float a[PROBE_K * BLAS_NARROW_MAX] __attribute__((aligned(64)));
    float b[PROBE_K * BLAS_WIDE_MAX] __attribute__((aligned(64)));
    float c[BLAS_NARROW_MAX * BLAS_WIDE_MAX] __attribute__((aligned(64)));
    int narrow = tile->narrow, wide = tile->wide;
    for (int i = 0; i < PROBE_K * narrow; i++)
        a[i] = (float)(i * 7919 % 1000 - 500) / 333;
    for (int i = 0; i < PROBE_K * wide; i++)
        b[i] = (float)(i * 104729 % 1000 - 500) / 777;
    for (int i = 0; i < narrow * wide; i++)
        c[i] = (float)(i % 17 - 8) / 3;
    blas_tile_multiply(tile, PROBE_K, a, b, 1, c, wide);
    for (int i = 0; i < narrow; i++)
        for (int j = 0; j < wide; j++) {
            float chain = 0;
            for (int k = 0; k < PROBE_K; k++)
                chain = fmaf(a[k * narrow + i], b[k * wide + j], chain);
            if (c[i * wide + j] != chain + (float)((i * wide + j) % 17 - 8) / 3)
                return false;
        }
    return true;
}

enum status blas_init(struct blas_tile *tile, struct error *e)
{
    enum status status = choose_kernels(e);
    if (status)
        return status;
    bli_init();
    cntx_t *context = (cntx_t *)bli_gks_query_cntx(); /* const from BLIS 1.0 on */
    int mr = (int)bli_cntx_get_blksz_def_dt(BLIS_FLOAT, BLIS_MR, context);
    int nr = (int)bli_cntx_get_blksz_def_dt(BLIS_FLOAT, BLIS_NR, context);
    tile->kernel = bli_arch_string(bli_arch_query_id());
    tile->swap = !prefers_rows(BLIS_FLOAT, BLIS_GEMM_UKR, context);
    tile->narrow = tile->swap ? nr : mr;
    tile->wide = tile->swap ? mr : nr;
    tile->ukr = (void *)get_kernel(BLIS_FLOAT, BLIS_GEMM_UKR, context);
    tile->context = context;
    if (mr < 1 || nr < 1 || tile->narrow > BLAS_NARROW_MAX || tile->wide > BLAS_WIDE_MAX ||
        bli_cntx_get_blksz_max_dt(BLIS_FLOAT, BLIS_MR, context) != mr ||
        bli_cntx_get_blksz_max_dt(BLIS_FLOAT, BLIS_NR, context) != nr)
        return error_set(e, STATUS_UNAVAILABLE,
                         "cannot use the micro-kernel of BLIS '%s': tiles of %d x %d; set BLIS_ARCH_TYPE to another",
                         tile->kernel, mr, nr);
    tile->own = false;
    if (!adds_in_order(tile))
        blas_use_own(tile);
    return STATUS_OK;
}

void blas_tile_multiply(const struct blas_tile *tile, int k, const float *a, const float *b, int accumulate, float *c,
                        int64_t ldc)
{
    if (tile->own) {
        blas_own_multiply(k, a, b, accumulate, c, ldc);
        return;
    }
    float one = 1, beta = accumulate ? 1 : 0;
    auxinfo_t info;
    memset(&info, 0, sizeof info);
    kernel_function kernel = (kernel_function)tile->ukr;
    /* C^T = B^T A^T: a kernel that stores columns sees our wide dimension as its m */
    const float *m_side = tile->swap ? b : a, *n_side = tile->swap ? a : b;
    info.a_next = (void *)m_side;
    info.b_next = (void *)n_side;
    if (tile->swap)
        kernel(tile->wide, tile->narrow, k, &one, (float *)m_side, (float *)n_side, &beta, c, 1, ldc, &info,
               tile->context);
    else
        kernel(tile->narrow, tile->wide, k, &one, (float *)m_side, (float *)n_side, &beta, c, ldc, 1, &info,
               tile->context);
}

void blas_sgemm(int m, int n, int k, const float *a, const float *b, float *c, int threads)
{
    float one = 1, zero = 0;
    rntm_t runtime;
    bli_rntm_init_from_global(&runtime);
    bli_rntm_set_num_threads(threads, &runtime);
    bli_sgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, m, n, k, &one, (float *)a, k, 1, (float *)b, n, 1, &zero, c, n,
                 1, NULL, &runtime);
}

const char *blas_version(void)
{
    return bli_info_get_version_str();
}
