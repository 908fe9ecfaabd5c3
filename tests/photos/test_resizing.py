from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ssrvae_tf.photos.resizing import matlab_resized, resized


@pytest.mark.parametrize("width, height", [(40, 24), (5, 3), (13, 29)])
def test_photos_are_resized_as_pillow_does(width, height):
    photo = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    wanted = np.asarray(Image.fromarray(photo).resize((width, height), Image.BICUBIC))
    np.testing.assert_array_equal(resized(photo, width, height), wanted)
    np.testing.assert_array_equal(resized(photo[..., 0], width, height), wanted[..., 0])
    np.testing.assert_array_equal(resized(photo[..., :1], width, height), wanted[..., :1])


def test_floats_stay_floats_and_may_leave_their_range_beside_edges():
    edge = np.repeat(np.float32([[0, 0, 0, 1, 1, 1]]), 4, 0)[..., None].repeat(2, -1)
    large = resized(edge, 24, 16)
    assert large.shape == (16, 24, 2) and large.dtype == np.float32
    assert large.min() < -0.01 and large.max() > 1.01


def test_colours_do_not_depend_on_transparency():
    photo = np.random.default_rng(1).integers(0, 256, (8, 8, 4), np.uint8)
    np.testing.assert_array_equal(resized(photo, 16, 16)[..., :3], resized(photo[..., :3], 16, 16))


# What Matlab gave, from the tests of imresize.m in GNU Octave's image package, which compare with it.
MATLABS_INPUT = """
    116  227  153   69  146  194   59  130  139  106
      2   47  137  249   90   75   16   24  158   44
    155   68   46   84  166  156   69  204   32  152
     71  221  137  230  210  153  192  115   30  118
    107  143  108   52   51   73  101   21  175   90
     54  158  143   77   26  168  113  229  165  225
      9   47  133  135  130  207  236   43   19   73
    129   60   59  243   64  181  249   56   32   86
"""
HALF = """
    105  140  126   81  109
    110  134  153  114   93
    108  108   94  127  146
     67  126  162  149   62
"""
THIRD = """
    115  135   97  101
    113  119  124  125
     81  157  118   64
"""
FOUR_THIRDS = """
    116   203   221   141    62   110   180   191    70   104   143   136   111   106
     26    78   126   156   200   139   103   103    33    28    92   158    67    46
     51    35    51   112   195   146   101    87    29    57   100   114    81    74
    159   110    63    50    82   148   179   152    83   173   147    27   143   170
     70   171   189   134   217   226   193   158   186   157    83    25   114   135
     91   152   162   116   118   114   102    98   138    65    60   127    92    84
     90   130   144   111    52    24    50   101    94    86   129   190   146   135
     41   114   157   139    89    37    82   178   125   192   203   154   213   227
      4    33    89   141   127   118   151   213   232   119    35    34    81    92
     88    61    54    97   203   129   115   203   255   119    18    24    70    81
    147    91    43    68   247   125    80   191   255   130    33    37    83    94
"""


def numbers(text):
    return np.array([line.split() for line in text.strip().splitlines()], np.uint8)


@pytest.mark.parametrize("scale, wanted", [(1 / 2, HALF), (1 / 3, THIRD), (4 / 3, FOUR_THIRDS)])
def test_matlabs_results_are_met_to_one_gray_level(scale, wanted):
    result = matlab_resized(numbers(MATLABS_INPUT), scale)
    assert result.dtype == np.uint8 and result.shape == numbers(wanted).shape
    assert np.abs(result.astype(int) - numbers(wanted)).max() <= 1
    colours = matlab_resized(np.repeat(numbers(MATLABS_INPUT)[..., None], 3, -1), scale)
    np.testing.assert_array_equal(colours, np.repeat(result[..., None], 3, -1))


def test_matlabs_floats_are_met():
    """From the same tests, where Matlab gave it with 14 decimals."""
    result = matlab_resized(np.array([[10.0, 6.0]]), (3, 1.5))
    np.testing.assert_allclose(result, [[10.27777777777777, 8, 5.72222222222222]] * 3, atol=1e-13)


def test_shrinking_as_matlab_does_equals_its_definition():
    """Keys' kernel, stretched by 4, over the mirrored line: by hand."""
    line = np.random.default_rng(0).random(13)
    mirrored = np.concatenate([line[::-1], line, line[::-1]])

    def kernel(x):
        x = abs(x)
        return 1.5 * x**3 - 2.5 * x**2 + 1 if x <= 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0

    wanted = []
    for place in range(4):  # ceil(13 / 4)
        centre = 4 * place + 1.5
        weights = np.array([kernel((index - 13 - centre) / 4) for index in range(39)])
        wanted.append(mirrored @ weights / weights.sum())
    np.testing.assert_allclose(matlab_resized(line[:, None], (1 / 4, 1))[:, 0], wanted, atol=1e-12)


def test_inside_a_photo_matlab_and_pillow_agree_when_they_shrink_by_a_whole_number():
    photo = np.random.default_rng(2).integers(60, 196, (64, 96, 3), np.uint8)
    difference = np.abs(matlab_resized(photo, 1 / 4).astype(int) - resized(photo, 24, 16))
    assert difference[2:-2, 2:-2].max() <= 1 < difference.max()
