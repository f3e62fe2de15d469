"""The eleven RAFT tasks: their columns, classes and sizes as in `ought/raft`, their instructions in our own words.

Which columns are shown, and in which order, is as in RAFT's official baselines.
"""

from tfew_pl.tasks.raft.task import raft_task

INTENTS = tuple(
    """
    Refund_not_showing_up activate_my_card age_limit apple_pay_or_google_pay atm_support automatic_top_up
    balance_not_updated_after_bank_transfer balance_not_updated_after_cheque_or_cash_deposit beneficiary_not_allowed
    cancel_transfer card_about_to_expire card_acceptance card_arrival card_delivery_estimate card_linking
    card_not_working card_payment_fee_charged card_payment_not_recognised card_payment_wrong_exchange_rate
    card_swallowed cash_withdrawal_charge cash_withdrawal_not_recognised change_pin compromised_card
    contactless_not_working country_support declined_card_payment declined_cash_withdrawal declined_transfer
    direct_debit_payment_not_recognised disposable_card_limits edit_personal_details exchange_charge exchange_rate
    exchange_via_app extra_charge_on_statement failed_transfer fiat_currency_support get_disposable_virtual_card
    get_physical_card getting_spare_card getting_virtual_card lost_or_stolen_card lost_or_stolen_phone
    order_physical_card passcode_forgotten pending_card_payment pending_cash_withdrawal pending_top_up
    pending_transfer pin_blocked receiving_money request_refund reverted_card_payment?
    supported_cards_and_currencies terminate_account top_up_by_bank_transfer_charge top_up_by_card_charge
    top_up_by_cash_or_cheque top_up_failed top_up_limits top_up_reverted topping_up_by_card
    transaction_charged_twice transfer_fee_charged transfer_into_account transfer_not_received_by_recipient
    transfer_timing unable_to_verify_identity verify_my_identity verify_source_of_funds verify_top_up
    virtual_card_not_working visa_or_mastercard why_verify_identity wrong_amount_of_cash_received
    wrong_exchange_rate_for_cash_withdrawal
    """.split()
)
"""Banking77's 77 classes."""

TASKS = (
    raft_task(
        "ade_corpus_v2",
        "Ade Corpus",
        columns=("Sentence",),
        labels=("ADE-related", "not ADE-related"),
        test_rows=5000,
        instruction="An adverse drug effect (ADE) is a symptom, a disorder, an injury or a death that a drug brought "
        "about when somebody took it as a treatment. Decide whether the sentence is related to such an effect.",
    ),
    raft_task(
        "banking_77",
        "Banking 77",
        columns=("Query",),
        labels=INTENTS,
        test_rows=5000,
        instruction="A customer wrote this query to a bank. Name the customer's intent, one of 77.",
    ),
    raft_task(
        "neurips_impact_statement_risks",
        "NeurIPS Impact Statement Risks",
        columns=("Paper title", "Paper link", "Impact statement"),
        labels=("doesn't mention a harmful application", "mentions a harmful application"),
        test_rows=150,
        instruction="Decide whether the impact statement of this paper names a way in which the paper's own results "
        "could be used to do harm. A harm that the research helps against does not count.",
        shown=("Impact statement", "Paper title"),
    ),
    raft_task(
        "one_stop_english",
        "One Stop English",
        columns=("Article",),
        labels=("advanced", "elementary", "intermediate"),
        test_rows=516,
        instruction="The article was rewritten for adults who learn English as a second language. Decide for which "
        "level of readers: elementary, intermediate or advanced.",
    ),
    raft_task(
        "overruling",
        "Overruling",
        columns=("Sentence",),
        labels=("not overruling", "overruling"),
        test_rows=2350,
        instruction="A sentence of a court's opinion is overruling if it declares that an earlier decision no longer "
        "holds as a precedent. Decide whether this sentence is overruling.",
    ),
    raft_task(
        "semiconductor_org_types",
        "Semiconductor Org Types",
        columns=("Paper title", "Organization name"),
        labels=("company", "research institute", "university"),
        test_rows=449,
        instruction="A paper at a semiconductor conference came from this organization. Decide whether it is a "
        "company, a research institute or a university.",
        shown=("Organization name", "Paper title"),
    ),
    raft_task(
        "systematic_review_inclusion",
        "Systematic Review Inclusion",
        columns=("Title", "Abstract", "Authors", "Journal"),
        labels=("included", "not included"),
        test_rows=2243,
        instruction="A meta-review gathers systematic reviews of what makes people give money to charity. It includes "
        "peer-reviewed reviews in English, of any population in any setting. It leaves out papers with new data of "
        "their own, reviews that are not systematic, and those of cause-related marketing or of other ways to help. "
        "Decide whether this paper is included.",
        shown=("Title", "Abstract", "Journal"),
    ),
    raft_task(
        "tai_safety_research",
        "TAI Safety Research",
        columns=(
            "Title",
            "Abstract Note",
            "Url",
            "Publication Year",
            "Item Type",
            "Author",
            "Publication Title",
        ),
        labels=("TAI safety research", "not TAI safety research"),
        test_rows=1639,
        instruction="Transformative AI (TAI) is artificial intelligence that would change the world as much as the "
        "industrial revolution did. Decide whether this paper is TAI safety research: serious work for researchers, "
        "reviewed by peers or not, that is motivated by making such AI turn out well, and adds to its safety and not "
        "to its capabilities alone.",
        shown=("Title", "Abstract Note", "Publication Title", "Item Type", "Publication Year"),
    ),
    raft_task(
        "terms_of_service",
        "Terms of Service",
        columns=("Sentence",),
        labels=("not potentially unfair", "potentially unfair"),
        test_rows=5000,
        instruction="The sentence comes from the terms of service of an online platform. It is potentially unfair if "
        "it tips rights and duties against the consumer: it picks a distant court or law, limits what the provider is "
        "liable for, lets the provider change the terms, end the contract or remove content at will, binds whoever "
        "merely uses the service, or forces disputes into arbitration. Decide whether it is potentially unfair.",
    ),
    raft_task(
        "tweet_eval_hate",
        "Tweet Eval Hate",
        columns=("Tweet",),
        labels=("hate speech", "not hate speech"),
        test_rows=2966,
        instruction="Decide whether the tweet is hate speech against immigrants or women: whether it attacks or "
        "belittles people for belonging to one of these groups.",
    ),
    raft_task(
        "twitter_complaints",
        "Twitter Complaints",
        columns=("Tweet text",),
        labels=("complaint", "no complaint"),
        test_rows=3399,
        instruction="A complaint tells of something that falls short of what its writer could expect. Decide whether "
        "the tweet is a complaint.",
    ),
)
