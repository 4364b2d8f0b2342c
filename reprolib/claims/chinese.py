"""The claims and their verdicts in Chinese, for the summary page ``book/zh.md``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from reprolib.claims.claim import Claim, Verdict
from reprolib.claims.render import badge

VERDICTS = {
    Verdict.EXACT: "完全一致",
    Verdict.REPRODUCED: "复现",
    Verdict.BETTER: "优于论文",
    Verdict.EQUAL: "与论文相当",
    Verdict.PARTLY: "部分复现",
    Verdict.NO_EFFECT: "无效果",
    Verdict.NOT_REPRODUCED: "未复现",
    Verdict.CONTRADICTED: "相反",
    Verdict.WORSE: "差于论文",
    Verdict.INCONCLUSIVE: "证据不足",
    Verdict.NOT_DECIDED: "未定",
    Verdict.NOT_COMPARABLE: "不可比",
    Verdict.NOT_RUN_YET: "尚未运行",
}
CLAIMS = {  # by key
    "table 1, warping_error": "表 1，电镜：warping error",
    "table 1, rand_error": "表 1，电镜：Rand error",
    "table 1, pixel_error": "表 1，电镜：pixel error",
    "table 2, phc-u373": "表 2，PhC-C2DH-U373：IOU（即 SEG）",
    "table 2, dic-hela": "表 2，DIC-C2DH-HeLa：IOU（即 SEG）",
    "layers": "网络共有 23 个卷积层",
    "parameters": "网络有 3100 万个权重（按图 1 计数）",
    "output": "572 像素的图块输出 388 像素",
    "tiles": "重叠分块得到无缝的分割",
    "tiles side by side": "如图 2 那样图块紧挨排列时也无缝",
    "borders": "相互接触的 HeLa 细胞需要画出分隔边界",
    "deformation": "3 x 3 网格上 10 像素的位移产生平滑形变",
    "variance": "初始化使每个特征图的方差约为 1",
    "window, warping_error": "优于滑动窗口：warping error",
    "window, rand_error": "优于滑动窗口：Rand error",
    "window, pixel_error": "优于滑动窗口：pixel error",
    "trade-off": "滑动窗口：上下文越多，定位越差",
    "fcn": "上行路径通道多有好处：优于同样大小的 FCN",
    "rotations": "对 7 个旋转取平均可降低误差",
    "augmentation": "图像很少时，数据增强必不可少",
    "elastic": "弹性形变是数据增强的关键",
    "dropout": "dropout 有帮助",
    "skips": "跳跃连接有帮助",
    "weight map, em": "权重图有帮助（电镜）",
    "initialisation": "初始化很重要",
    "weight map, hela": "权重图能分开相互接触的细胞（与不加权相比）",
    "border term": "权重图的边界项也能（与只平衡类别相比）",
    "border alone": "不平衡类别时也能（与不加权相比）",
    "few images": "很少的训练图像就够了（训练初期）",
    "seconds": "在 2015 年的 GPU 上，512 x 512 的图像用时不到一秒",
    "window, slow": "滑动窗口重复计算，因此很慢",
    "hours": "在 Titan GPU 上训练需要 10 小时",
}


def results(claims: Sequence[Claim]) -> str:
    """How many claims have which verdict, the scores of Table 1 and 2, and all claims with verdicts, as MyST Markdown.

    Raises KeyError for a claim without translation.
    """
    counts = Counter(claim.verdict for claim in claims)
    tally = "，".join(f"{VERDICTS[verdict]} {counts[verdict]} 条" for verdict in Verdict if counts[verdict])
    lines = [
        f"**共 {len(claims)} 条结论：{tally}。**",
        "",
        "| 分数（表 1：论文的测试图像；表 2：另外的图像） | 论文 | 本书 |",
        "|:--|--:|--:|",
    ]
    lines += [f"| {CLAIMS[one.key]} | {one.paper} | {one.score} |" for one in claims if one.score]
    lines += ["", "| 论文的结论 | 判定 |", "|:--|:--|"]
    for claim in claims:
        verdict = badge(claim.verdict, VERDICTS[claim.verdict], "a", f'href="{claim.chapter}.html"')
        lines.append(f"| {CLAIMS[claim.key]} | {verdict} |")
    return "\n".join(lines)
