"""The sources: papers by arXiv number, a course, tutorials, and ports with their documentation."""

from inception_lab.claims.claim import Source

GOOGLENET = Source("1409.4842", "Going deeper with convolutions")
BATCH_NORM = Source(
    "1502.03167",
    "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift",
)
RETHINKING = Source("1512.00567", "Rethinking the Inception Architecture for Computer Vision")
INCEPTION_V4 = Source(
    "1602.07261", "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning"
)
XCEPTION = Source("1610.02357", "Xception: Deep Learning with Depthwise Separable Convolutions")
ALEXNET = Source("NIPS 2012", "ImageNet Classification with Deep Convolutional Neural Networks")
VGG = Source("1409.1556", "Very Deep Convolutional Networks for Large-Scale Image Recognition")
NIN = Source("1312.4400", "Network In Network")
DISTILL = Source(
    "Araujo, Norris & Sim, Distill 2019", "Computing Receptive Fields of Convolutional Neural Networks"
)
BRIEF = Source("project brief", "")
TUTORIAL_A = Source("tutorial A", "A notebook in PyTorch")
TUTORIAL_B = Source("tutorial B", "A document about the whole family")
TUTORIAL_C = Source("tutorial C", "A chapter of a book, with Keras")
TUTORIAL_D = Source("tutorial D", "A blog about recognition of skin images, with PyTorch")
TUTORIAL_E = Source("tutorial E", "A blog about CIFAR-10, with PyTorch")
LECTURE = Source("Stanford CS231n", "Lecture on CNN architectures")
PORTS = Source("published implementations", "Released networks, counted layer by layer")
TORCHVISION = Source("torchvision documentation", "Page of each pretrained model")
KERAS = Source("Keras documentation", "Table of applications")
TIMM = Source("timm model cards", "Model card of each pretrained model")
