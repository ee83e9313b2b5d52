"""The warm-up of each exercise: the right answer, a number or a word, and what to say to likely wrong ones."""

WARM_UPS: dict[str, tuple[float | str, dict[float | str, str]]] = {  # by the name of the exercise's check
    "check_weights": (
        67.5,
        {
            57: "all criteria count the same there: weigh each score by its percentage.",
            6750: "divide by 100, as the weights are percentages.",
            285: "that is the plain sum of the five scores: weigh each by its percentage.",
            0.675: "that is a share of 1: the answer is asked for in points of 100.",
        },
    ),
    "check_shouting": (
        25,
        {
            50: 'the single "I" counts there: a word shouts with two letters or more.',
            1: "that is the bare count: per 100 words, please.",
            0.25: "that is a share: per 100 words, please.",
        },
    ),
    "check_fool_the_judge": (
        "repetition",
        {
            "keyword salad": "each phrase is in good order; how many of them are there?",
            "none": "how many of its three-word runs have you read before?",
        },
    ),
    "check_length_shortcuts": (
        -1,
        {
            1: "the longest text has the lowest target: mind the sign.",
            0: "the lengths do follow the targets, downwards.",
        },
    ),
    "check_near_duplicates": (
        0.5,
        {
            2: "that is the number of words in both: divide by the number in either.",
            2 / 3: "there are four words in either text: divide by that.",
            1 / 3: "a word in both texts counts once below the line.",
        },
    ),
    "check_read_target": (
        50,
        {
            95: "it does not say that the score is high: it says that it is not.",
            10: "it does not say that the score is low: it says that it is not.",
        },
    ),
    "check_count_rows": (
        6,
        {
            3: "that is the number of pairs, and each has a mirror: two rows.",
            2: "that is one pair: how many pairs can be made of three texts?",
            9: "no text is paired with itself.",
        },
    ),
    "check_mirror": (
        5,
        {
            1: "the system prompt alone? Then the same text would be chosen under both.",
            3: "and the two targets, which go along with their texts.",
            4: "and the system prompt, which is in `prompt`.",
            6: "one of them must stay: what says that the two rows belong together?",
            7: "two stay: the rubric, and the pair_id.",
        },
    ),
    "check_split": (
        48,
        {
            2: "that is the number of prompts: each comes with all its rows.",
            24: "those are the rows of one prompt: two prompts are held out.",
            192: "those are the rows for training.",
        },
    ),
    "check_loss_predictions": (
        0,
        {
            0.6931: "that is the loss: which margin was put into it?",
            0.5: "that is sigmoid of the margin.",
            1: "both rewards are 0: what is their difference?",
        },
    ),
    "check_implicit_reward": (
        0.15,
        {
            0.075: "the tokens are averaged there: add them up.",
            1.5: "beta is missing.",
            -0.15: "the sign is wrong: policy minus reference.",
            0.13: "those are ratios of logarithms: subtract them.",
            -0.3: "the reference is missing.",
        },
    ),
    "check_dpo_loss": (
        0.17,
        {
            1.7: "beta is missing.",
            0.15: "the reference is missing.",
            -0.17: "the sign is wrong: chosen minus rejected.",
            0.03: "the second change is -0.7, and minus -0.7 is plus.",
            0.6117: "that is the loss: the margin is asked for.",
        },
    ),
    "check_mirrored_gradients": (
        -0.05,
        {
            0.05: "that points uphill: the loss falls where a grows.",
            -0.5: "beta is missing: the margin grows by beta for each unit of a.",
            0.1: "that is the slope of the margin: put -log sigmoid around it.",
            -0.1: "the slope of -log sigmoid at the margin 0 is -1/2, not -1.",
        },
    ),
    "check_accuracy": (
        50,
        {
            95: "it is 23 points from 95; how far from 50?",
            10: "that one is the farthest.",
        },
    ),
    "check_macro_spearman": (
        0.4,
        {
            0.8: "the rubric without a ranking counts, too: as 0.",
            0: "one rubric without a ranking does not undo the other.",
        },
    ),
    "check_opposed": (
        2,
        {
            1: "one such pair is right; is there another?",
            3: "one of the three pairs stands in the same order for both.",
            0: "compare each two ways by the first judge, then by the second.",
        },
    ),
    "check_best_of_n": (
        5 / 3,
        {
            1: "one of the three choices does not hold the text at 1.",
            2: "that is the mean of the two smallest: take the smallest of each choice, then the mean.",
            3: "that is the mean of all three texts: which one is kept in each choice?",
            5: "that is the sum over the choices: take the mean.",
            19 / 9: "there a text can be drawn twice: choose two different ones.",
        },
    ),
    "check_gap": (
        40,
        {
            60: "that is the first prompt's gap: take the mean of both.",
            20: "that is the second prompt's gap: take the mean of both.",
            80: "that is the sum of both gaps: take the mean.",
            65: "that is the mean of the two high scores: take the low ones from it.",
            -40: "high less low, so that a gap above 0 says that the order is followed.",
        },
    ),
    "check_luck": (
        1 / 16,
        {
            0.5: "that is one coin: all four have to fall so.",
            0.25: "that is two coins: there are four.",
            0.125: "that is all alike, heads or tails: only all heads are asked for.",
            16: "one in so many: give it as a share.",
        },
    ),
    "check_slopes": (
        0.25,
        {
            10: "that is what was gained: divide it by the points asked.",
            4: "upside down: points judged for a point asked.",
            0.5: "30 is where it stood at 20, and 40 where it stood at 60: what was gained?",
            2 / 3: "that is 40 for 60: take only what was gained.",
        },
    ),
    "check_bootstrap": (
        20,
        {
            120: "that is the number of rows: prompts are drawn, and each brings its rows.",
            6: "those are the rows of one prompt.",
        },
    ),
    "check_anchor_score": (
        80,
        {
            20: "that runs backwards: the score is 0 at 20 words and 100 at 5.",
            0.8: "that is the share of the way: times 100.",
            40: "that is 8 of 20: how far is it from the low anchor, 20?",
            -80: "both differences are negative, so their quotient is not.",
        },
    ),
    "check_choose": (
        44,
        {
            52: "it is the nearest, but it is degenerate.",
            58: "it is 8 points away, and another sound one is nearer.",
        },
    ),
    "check_advantages": (
        1,
        {
            0.3: "you subtracted the mean; now divide by the standard deviation.",
            8 / 3: "the mean of the group is still in it.",
            1.2247: "that is the standard deviation of a whole population: of a sample, divide by n - 1.",
            10 / 3: "that is divided by the variance: take its root.",
            -1: "it is the best of the three: reward minus mean.",
        },
    ),
    "check_guarded": (
        0.4,
        {
            0.9: "that pays whoever fools one of the two.",
            0.65: "that is the mean, and it still pays for fooling one of the two.",
            0.5538: "that is the harmonic mean, and it lies above the lower one.",
            0.36: "that is the product, less than either of them grants.",
            0: "the text is sound: 0 is for degenerate ones.",
        },
    ),
}
