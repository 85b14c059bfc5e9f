"""An image of a store in one piece."""

from collections.abc import Callable, Container

from envoymesh.stats import Store
from envoymesh.stats.image import StoreImage, images_of


def image_of(store: Store, rename: Callable[[str], str] = str, known: Container[str] = frozenset[str]()) -> StoreImage:
    """The store's values now; the arguments are those of `images_of`."""
    image = StoreImage()
    for part in images_of(store, rename, known):
        image.add(part)
    return image
