"""The claims and their verdicts in Chinese, for the summary page ``book/zh.md``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from reprolib.claim import VERDICTS, Claim, badge

WORDS = ("完全一致", "复现", "优于论文", "与论文相当", "部分复现", "未复现", "差于论文", "未定", "不可比", "尚未运行")
VERDICT = dict(zip(VERDICTS, WORDS, strict=True))
SCORES = {  # rows whose values stand beside the verdict: figures without words
    "Table 1, EM: warping error": "表 1，电镜：warping error",
    "Table 1, EM: Rand error": "表 1，电镜：Rand error",
    "Table 1, EM: pixel error": "表 1，电镜：pixel error",
    "Table 2, PhC-C2DH-U373: IOU (SEG)": "表 2，PhC-C2DH-U373：IOU（即 SEG）",
    "Table 2, DIC-C2DH-HeLa: IOU (SEG)": "表 2，DIC-C2DH-HeLa：IOU（即 SEG）",
}
CLAIMS = SCORES | {
    "The network has 23 convolutional layers": "网络共有 23 个卷积层",
    "It has 31 million weights (counted from Fig. 1)": "网络有 3100 万个权重（按图 1 计数）",
    "A 572 px tile gives 388 px of output": "572 像素的图块输出 388 像素",
    "Overlap-tile gives a seamless segmentation": "重叠分块得到无缝的分割",
    "... also with tiles side by side, as Fig. 2 draws them": "如图 2 那样图块紧挨排列时也无缝",
    "Touching HeLa cells need separation borders": "相互接触的 HeLa 细胞需要画出分隔边界",
    "Displacements of 10 px on a 3 x 3 grid deform smoothly": "3 x 3 网格上 10 像素的位移产生平滑形变",
    "The initialisation gives every feature map about unit variance": "初始化使每个特征图的方差约为 1",
    "Ahead of the sliding window: warping error": "优于滑动窗口：warping error",
    "Ahead of the sliding window: Rand error": "优于滑动窗口：Rand error",
    "Ahead of the sliding window: pixel error": "优于滑动窗口：pixel error",
    "Sliding window: more context costs localisation": "滑动窗口：上下文越多，定位越差",
    "Many channels on the way up help: ahead of an FCN of the same size": "上行路径通道多有好处：优于同样大小的 FCN",
    "The mean over 7 rotations lowers the error": "对 7 个旋转取平均可降低误差",
    "Augmentation is essential with few images": "图像很少时，数据增强必不可少",
    "Elastic deformation is the key concept of it": "弹性形变是数据增强的关键",
    "Dropout helps": "dropout 有帮助",
    "Skip connections help": "跳跃连接有帮助",
    "The weight map helps, on EM": "权重图有帮助（电镜）",
    "The initialisation matters": "初始化很重要",
    "The weight map separates touching cells (against no weights)": "权重图能分开相互接触的细胞（与不加权相比）",
    "... and so does its border term (against class balance alone)": "权重图的边界项也能（与只平衡类别相比）",
    "... also without class balance (border term alone, against no weights)": "不平衡类别时也能（与不加权相比）",
    "Very few training images suffice (early in training)": "很少的训练图像就够了（训练初期）",
    "A 512 x 512 image takes less than a second on a GPU of 2015": "在 2015 年的 GPU 上，512 x 512 的图像用时不到一秒",
    "The sliding window repeats work: it is slow": "滑动窗口重复计算，因此很慢",
    "Training takes 10 hours on a Titan GPU": "在 Titan GPU 上训练需要 10 小时",
}


def results(rows: Sequence[Claim]) -> str:
    """How many claims have which verdict, the scores of Table 1 and 2, and all claims with verdicts, as MyST Markdown.

    Raises KeyError for a claim without translation.
    """
    counts = Counter(row.verdict for row in rows)
    tally = "，".join(f"{VERDICT[verdict]} {counts[verdict]} 条" for verdict in VERDICTS if counts[verdict])
    lines = [
        f"**共 {len(rows)} 条结论：{tally}。**",
        "",
        "| 分数（表 1：论文的测试图像；表 2：另外的图像） | 论文 | 本书 |",
        "|:--|--:|--:|",
    ]
    for row in rows:
        if row.claim in SCORES:
            ours = row.ours.replace(";", " ").split()[0]
            lines.append(f"| {SCORES[row.claim]} | {row.paper} | {ours} |")
    lines += ["", "| 论文的结论 | 判定 |", "|:--|:--|"]
    for row in rows:
        verdict = badge(row.verdict, VERDICT[row.verdict], "a", f'href="{row.chapter}.html"')
        lines.append(f"| {CLAIMS[row.claim]} | {verdict} |")
    return "\n".join(lines)
