import numpy as np

from clm_ler.modeling.data.samples import Samples


def test_an_index_takes_each_sample_whole():
    samples = Samples(
        np.array([4, 4, 7]), np.array([2, 5, 3]), np.array([9, 8, 7]), np.array([0, 1, 1])
    )
    chosen = samples[np.array([2, 0])]
    assert chosen.rows.tolist() == [7, 4]
    assert chosen.ends.tolist() == [3, 2]
    assert chosen.labels.tolist() == [1, 0]


def test_samples_without_labels_are_of_no_task():
    samples = Samples.unlabelled(np.array([4, 7]), np.array([2, 3]), np.array([1, 1]))
    assert len(samples) == 2
    assert samples[:1].labels.shape == (1, 0)
