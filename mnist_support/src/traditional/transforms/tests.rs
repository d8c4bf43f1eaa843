use tch::{Device, Kind};

use super::{random_rotation::rotated, *};

/// An image of 3 by 5 pixels, whose values say where they are.
fn numbered() -> Tensor {
    let pixels = Tensor::arange(15, (Kind::Float, Device::Cpu));
    pixels.view([1, 3, 5])
}

fn values(image: &Tensor) -> Vec<f32> {
    Vec::try_from(image.reshape([-1])).unwrap()
}

#[test]
fn a_rotation_is_torchvisions() {
    // torchvision 0.28: v2.functional.rotate(image, degrees)
    let cases: [(f64, [f32; 15]); 3] = [
        (
            90.0,
            [
                0.0, 3.0, 8.0, 13.0, 0.0, 0.0, 2.0, 7.0, 12.0, 0.0, 0.0, 1.0, 6.0, 11.0, 0.0,
            ],
        ),
        (
            30.0,
            [
                0.0, 2.0, 2.0, 8.0, 9.0, 0.0, 1.0, 7.0, 13.0, 14.0, 5.0, 6.0, 12.0, 12.0, 0.0,
            ],
        ),
        (
            -45.0,
            [
                10.0, 6.0, 1.0, 2.0, 0.0, 11.0, 11.0, 7.0, 3.0, 3.0, 0.0, 12.0, 13.0, 8.0, 4.0,
            ],
        ),
    ];
    for (degrees, expected) in cases {
        assert_eq!(
            values(&rotated(&numbered(), degrees).unwrap()),
            expected,
            "{degrees}"
        );
    }
    assert_eq!(rotated(&numbered(), 0.0).unwrap(), numbered());
}

#[test]
fn a_normalised_image_is_torchvisions() {
    // torchvision 0.28: v2.functional.normalize(image, [0.5], [2.0])
    let normalized = Normalize::new([0.5], [2.0]).apply(&numbered(), 0).unwrap();
    assert_eq!(values(&normalized)[..3], [-0.25, 0.25, 0.75]);
}

#[test]
fn a_crop_is_a_part_of_the_padded_image_and_all_places_occur() {
    let padded = numbered().constant_pad_nd([1; 4]);
    let crop = RandomCrop::with_size([3, 5], 1);
    let mut places = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let cropped = crop.apply(&numbered(), seed).unwrap();
        let found = (0..3)
            .flat_map(|top| (0..3).map(move |left| (top, left)))
            .find(|&(top, left)| padded.narrow(1, top, 3).narrow(2, left, 5) == cropped);
        places.insert(found.expect("a part of the image"));
    }
    assert_eq!(places.len(), 9);
}

#[test]
fn a_flip_mirrors_the_image_as_often_as_it_should() {
    let flipped = numbered().flip([2]);
    let flips = (0..1000).filter(|&seed| {
        let image = RandomHorizontalFlip::new(0.3)
            .apply(&numbered(), seed)
            .unwrap();
        assert!(image == flipped || image == numbered());
        image == flipped
    });
    let flips = flips.count();
    assert!((250..350).contains(&flips), "{flips} of 1000");
}

#[test]
fn settings_out_of_range_are_named() {
    let refusal =
        |transform: &dyn Transform| transform.apply(&numbered(), 0).unwrap_err().to_string();
    assert_eq!(
        refusal(&RandomCrop::new(6, 1)),
        "size = [6, 6] does not fit into an image of [3, 5] with a padding of 1"
    );
    assert!(refusal(&RandomCrop::new(2, -1)).starts_with("size = [2, 2] does not fit"));
    assert!(refusal(&RandomCrop::new(2, i64::MAX)).starts_with("size = [2, 2] does not fit"));
    assert_eq!(
        refusal(&RandomHorizontalFlip::new(1.5)),
        "p = 1.5 must be from 0 to 1"
    );
    assert_eq!(
        refusal(&RandomRotation::new(f64::NAN)),
        "degrees = NaN must be 0 or more"
    );
    assert_eq!(
        refusal(&Normalize::new([0.0, 1.0], [1.0])),
        "mean = [0.0, 1.0] needs one value for each of the 1 channels"
    );
    assert_eq!(
        refusal(&Normalize::new([0.0], [0.0])),
        "std = [0.0] must not be 0"
    );
    let flat = Tensor::zeros([784], (Kind::Float, Device::Cpu));
    let error = RandomCrop::new(28, 2)
        .apply(&flat, 0)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("an image of shape [channels, height, width]"),
        "{error}"
    );
}
