"""What the simulated sites call things: one row per concept, its code in every vocabulary.

The hospital codes with ICD10CM, ICD9CM, NDC, RXNORM, CPT, HCPCS and LOINC; the EHRSHOT site with
SNOMED, RxNorm, CPT4, HCPCS and LOINC; the miniature UMLS links them. The codes are real ones where
one is well known and of the right form elsewhere, so that they exercise the same parsers.
"""

from typing import NamedTuple


class Diagnosis(NamedTuple):
    """One diagnosis in the vocabularies of both sites."""

    name: str
    icd10cm: str
    icd9cm: str
    snomed: str


class Drug(NamedTuple):
    """One clinical drug: its RxNorm concept and one package (NDC, hyphenated as labelled)."""

    name: str
    rxnorm: str
    ndc: str


class Procedure(NamedTuple):
    """One billed procedure: ``system`` is ``CPT`` or ``HCPCS``."""

    name: str
    system: str
    code: str


# The first diagnosis of a condition is its common form, later ones are complications.
DIAGNOSES: dict[str, tuple[Diagnosis, ...]] = {
    "obesity": (
        Diagnosis("Obesity, unspecified", "E66.9", "278.00", "414916001"),
        Diagnosis("Morbid obesity", "E66.01", "278.01", "238136002"),
    ),
    "tobacco_dependence": (
        Diagnosis("Nicotine dependence, cigarettes", "F17.210", "305.1", "56294008"),
        Diagnosis("Personal history of nicotine dependence", "Z87.891", "V15.82", "8517006"),
    ),
    "hypertension": (
        Diagnosis("Essential hypertension", "I10", "401.9", "59621000"),
        Diagnosis("Hypertensive heart disease", "I11.9", "402.90", "64715009"),
    ),
    "hyperlipidemia": (
        Diagnosis("Hyperlipidemia", "E78.5", "272.4", "55822004"),
        Diagnosis("Pure hypercholesterolemia", "E78.00", "272.0", "267432004"),
        Diagnosis("Mixed hyperlipidemia", "E78.2", "272.2", "267434003"),
    ),
    "diabetes": (
        Diagnosis("Type 2 diabetes mellitus", "E11.9", "250.00", "44054006"),
        Diagnosis("Type 2 diabetes with hyperglycemia", "E11.65", "250.02", "368051000119109"),
        Diagnosis("Diabetic kidney disease", "E11.22", "250.40", "127013003"),
        Diagnosis("Diabetic polyneuropathy", "E11.42", "250.60", "230572002"),
    ),
    "ckd": (
        Diagnosis("Chronic kidney disease, unspecified", "N18.9", "585.9", "709044004"),
        Diagnosis("Chronic kidney disease stage 3", "N18.3", "585.3", "433144002"),
        Diagnosis("Chronic kidney disease stage 4", "N18.4", "585.4", "431857002"),
    ),
    "coronary_disease": (
        Diagnosis("Acute myocardial infarction", "I21.9", "410.90", "57054005"),
        Diagnosis("Coronary arteriosclerosis", "I25.10", "414.01", "53741008"),
        Diagnosis("Old myocardial infarction", "I25.2", "412", "1755008"),
    ),
    "heart_failure": (
        Diagnosis("Heart failure", "I50.9", "428.0", "84114007"),
        Diagnosis("Chronic systolic heart failure", "I50.22", "428.22", "441481004"),
    ),
    "atrial_fibrillation": (
        Diagnosis("Atrial fibrillation", "I48.91", "427.31", "49436004"),
        Diagnosis("Paroxysmal atrial fibrillation", "I48.0", "427.3", "282825002"),
    ),
    "copd": (
        Diagnosis("Chronic obstructive pulmonary disease", "J44.9", "496", "13645005"),
        Diagnosis("Acute exacerbation of COPD", "J44.1", "491.21", "195951007"),
    ),
    "asthma": (
        Diagnosis("Asthma", "J45.909", "493.90", "195967001"),
        Diagnosis("Exacerbation of asthma", "J45.901", "493.92", "281239006"),
    ),
    "hypothyroidism": (Diagnosis("Hypothyroidism", "E03.9", "244.9", "40930008"),),
    "depression": (
        Diagnosis("Major depressive disorder", "F32.9", "311", "370143000"),
        Diagnosis("Recurrent major depression", "F33.1", "296.32", "66344007"),
    ),
    "osteoarthritis": (
        Diagnosis("Osteoarthritis", "M19.90", "715.90", "396275006"),
        Diagnosis("Osteoarthritis of knee", "M17.9", "715.96", "239873007"),
    ),
    "iron_deficiency": (
        Diagnosis("Iron deficiency anemia", "D50.9", "280.9", "87522002"),
        Diagnosis("Anemia", "D64.9", "285.9", "271737000"),
    ),
    "cirrhosis": (
        Diagnosis("Cirrhosis of liver", "K74.60", "571.5", "19943007"),
        Diagnosis("Ascites", "R18.8", "789.59", "389026000"),
        Diagnosis("Thrombocytopenia", "D69.6", "287.5", "302215000"),
    ),
    "celiac": (Diagnosis("Celiac disease", "K90.0", "579.0", "396331005"),),
    "lupus": (
        Diagnosis("Systemic lupus erythematosus", "M32.9", "710.0", "55464009"),
        Diagnosis("Lupus nephritis", "M32.14", "583.81", "68815009"),
    ),
    "prostate_cancer": (Diagnosis("Prostate cancer", "C61", "185", "399068003"),),
    "pancreatic_cancer": (
        Diagnosis("Malignant tumor of pancreas", "C25.9", "157.9", "372003004"),
        Diagnosis("Malignant tumor of head of pancreas", "C25.0", "157.0", "93843007"),
    ),
    "dementia": (
        Diagnosis("Dementia", "F03.90", "294.20", "52448006"),
        Diagnosis("Alzheimer's disease", "G30.9", "331.0", "26929004"),
    ),
}

# Short illnesses.
ACUTE_DIAGNOSES: dict[str, tuple[Diagnosis, ...]] = {
    "respiratory_infection": (
        Diagnosis("Acute upper respiratory infection", "J06.9", "465.9", "54150009"),
        Diagnosis("Acute bronchitis", "J20.9", "466.0", "10509002"),
        Diagnosis("Cough", "R05", "786.2", "49727002"),
    ),
    "pneumonia": (
        Diagnosis("Pneumonia", "J18.9", "486", "233604007"),
        Diagnosis("Hypoxemia", "R09.02", "799.02", "389087006"),
    ),
    "urinary_infection": (
        Diagnosis("Urinary tract infection", "N39.0", "599.0", "68566005"),
        Diagnosis("Dysuria", "R30.0", "788.1", "49650001"),
    ),
    "gastroenteritis": (
        Diagnosis("Noninfectious gastroenteritis", "K52.9", "558.9", "25374005"),
        Diagnosis("Nausea with vomiting", "R11.2", "787.01", "16932000"),
    ),
    "injury": (
        Diagnosis("Fracture of radius", "S52.501A", "813.42", "12676007"),
        Diagnosis("Contusion", "S80.11XA", "924.10", "125667009"),
        Diagnosis("Sprain of ankle", "S93.401A", "845.00", "44465007"),
    ),
    "back_pain": (
        Diagnosis("Low back pain", "M54.5", "724.2", "279039007"),
        Diagnosis("Sciatica", "M54.30", "724.3", "23056005"),
    ),
    "skin_infection": (Diagnosis("Cellulitis", "L03.90", "682.9", "128045006"),),
}

# Severe illness at admission, from mild to severe.
ADMISSION_DIAGNOSES: tuple[Diagnosis, ...] = (
    Diagnosis("Syncope", "R55", "780.2", "271594007"),
    Diagnosis("Dehydration", "E86.0", "276.51", "34095006"),
    Diagnosis("Fever", "R50.9", "780.60", "386661006"),
    Diagnosis("Hyponatremia", "E87.1", "276.1", "89627008"),
    Diagnosis("Acute kidney injury", "N17.9", "584.9", "14669001"),
    Diagnosis("Sepsis", "A41.9", "038.9", "91302008"),
    Diagnosis("Acute respiratory failure", "J96.01", "518.81", "65710008"),
)

# Signs that precede a diagnosis: coded while a disease is there but not yet named.
SIGNS: dict[str, Diagnosis] = {
    "diabetes": Diagnosis("Prediabetes", "R73.03", "790.29", "714628002"),
    "hypertension": Diagnosis("Elevated blood pressure reading", "R03.0", "796.2", "24184005"),
    "heart_failure": Diagnosis("Dyspnea", "R06.02", "786.05", "267036007"),
    "coronary_disease": Diagnosis("Chest pain", "R07.9", "786.50", "29857009"),
    "celiac": Diagnosis("Diarrhea", "R19.7", "787.91", "62315008"),
    "lupus": Diagnosis("Joint pain", "M25.50", "719.40", "57676002"),
    "pancreatic_cancer": Diagnosis("Abnormal weight loss", "R63.4", "783.21", "89362005"),
    "cirrhosis": Diagnosis("Abnormal liver function", "R94.5", "794.8", "75183008"),
    "hypothyroidism": Diagnosis("Fatigue", "R53.83", "780.79", "84229001"),
}

# Everyday codes that say little, the most frequent first.
BACKGROUND: tuple[Diagnosis, ...] = (
    Diagnosis("General adult examination", "Z00.00", "V70.0", "162673000"),
    Diagnosis("Encounter for immunization", "Z23", "V04.81", "33879002"),
    Diagnosis("Gastroesophageal reflux disease", "K21.9", "530.81", "235595009"),
    Diagnosis("Vitamin D deficiency", "E55.9", "268.9", "34713006"),
    Diagnosis("Screening for malignant neoplasm of colon", "Z12.11", "V76.51", "275978004"),
    Diagnosis("Headache", "R51", "784.0", "25064002"),
    Diagnosis("Anxiety disorder", "F41.9", "300.00", "197480006"),
    Diagnosis("Allergic rhinitis", "J30.9", "477.9", "61582004"),
    Diagnosis("Insomnia", "G47.00", "780.52", "193462001"),
    Diagnosis("Abdominal pain", "R10.9", "789.00", "21522001"),
    Diagnosis("Seborrheic keratosis", "L82.1", "702.19", "25499005"),
    Diagnosis("Dizziness", "R42", "780.4", "404640003"),
    Diagnosis("Constipation", "K59.00", "564.00", "14760008"),
    Diagnosis("Cataract", "H26.9", "366.9", "193570009"),
    Diagnosis("Neck pain", "M54.2", "723.1", "81680005"),
    Diagnosis("Shoulder pain", "M25.519", "719.41", "45326000"),
    Diagnosis("Myopia", "H52.10", "367.1", "57190000"),
    Diagnosis("Edema", "R60.9", "782.3", "267038008"),
    Diagnosis("Osteoporosis", "M81.0", "733.00", "64859006"),
    Diagnosis("Sleep apnea", "G47.33", "327.23", "73430006"),
    Diagnosis("Hemorrhoids", "K64.9", "455.6", "70153002"),
    Diagnosis("Diverticulosis", "K57.30", "562.10", "397881000"),
    Diagnosis("Benign prostatic hyperplasia", "N40.0", "600.00", "266569009"),
    Diagnosis("Menopausal symptoms", "N95.1", "627.2", "161712005"),
    Diagnosis("Dermatitis", "L30.9", "692.9", "182782007"),
    Diagnosis("Plantar fasciitis", "M72.2", "728.71", "202882003"),
    Diagnosis("Migraine", "G43.909", "346.90", "37796009"),
    Diagnosis("Gout", "M10.9", "274.9", "90560007"),
    Diagnosis("Otitis media", "H66.90", "382.9", "65363002"),
    Diagnosis("Conjunctivitis", "H10.9", "372.30", "9826008"),
    Diagnosis("Varicose veins", "I83.90", "454.9", "128060009"),
    Diagnosis("Nephrolithiasis", "N20.0", "592.0", "95570007"),
    Diagnosis("Cholelithiasis", "K80.20", "574.20", "235919008"),
    Diagnosis("Onychomycosis", "B35.1", "110.1", "414941008"),
    Diagnosis("Carpal tunnel syndrome", "G56.00", "354.0", "57406009"),
    Diagnosis("Glaucoma", "H40.9", "365.9", "23986001"),
    Diagnosis("Hearing loss", "H91.90", "389.9", "15188001"),
    Diagnosis("Psoriasis", "L40.9", "696.1", "9014002"),
    Diagnosis("Epilepsy", "G40.909", "345.90", "84757009"),
    Diagnosis("Rheumatoid arthritis", "M06.9", "714.0", "69896004"),
)

DRUGS: dict[str, tuple[Drug, ...]] = {
    "tobacco_dependence": (Drug("bupropion 150 MG Oral Tablet", "993503", "0173-0556-02"),),
    "hypertension": (
        Drug("lisinopril 10 MG Oral Tablet", "314076", "68180-980-01"),
        Drug("amlodipine 5 MG Oral Tablet", "197361", "0069-1530-68"),
        Drug("hydrochlorothiazide 25 MG Oral Tablet", "310798", "0172-2083-60"),
        Drug("losartan potassium 50 MG Oral Tablet", "979485", "0093-7365-98"),
    ),
    "hyperlipidemia": (
        Drug("atorvastatin 20 MG Oral Tablet", "617310", "0071-0156-23"),
        Drug("simvastatin 20 MG Oral Tablet", "312961", "16714-683-01"),
        Drug("rosuvastatin 10 MG Oral Tablet", "859747", "0310-0751-90"),
    ),
    "diabetes": (
        Drug("metformin 500 MG Oral Tablet", "861007", "0093-7214-01"),
        Drug("glipizide 5 MG Oral Tablet", "310488", "0591-0460-01"),
        Drug("insulin glargine 100 UNT/ML Injectable", "311041", "0088-2220-33"),
        Drug("semaglutide 0.25 MG Pen Injector", "1991306", "0169-4132-12"),
    ),
    "ckd": (Drug("sevelamer carbonate 800 MG Oral Tablet", "749206", "58468-0130-1"),),
    "coronary_disease": (
        Drug("aspirin 81 MG Oral Tablet", "243670", "63868-363-36"),
        Drug("clopidogrel 75 MG Oral Tablet", "309362", "63653-1171-1"),
        Drug("nitroglycerin 0.4 MG Sublingual Tablet", "198039", "0071-0418-24"),
    ),
    "heart_failure": (
        Drug("furosemide 40 MG Oral Tablet", "313988", "0054-4299-25"),
        Drug("metoprolol succinate 50 MG Oral Tablet", "866436", "0186-1090-05"),
        Drug("spironolactone 25 MG Oral Tablet", "313096", "59762-5011-1"),
    ),
    "atrial_fibrillation": (
        Drug("warfarin sodium 5 MG Oral Tablet", "855332", "0056-0172-70"),
        Drug("apixaban 5 MG Oral Tablet", "1364445", "0003-0894-21"),
    ),
    "copd": (
        Drug("tiotropium 18 MCG Inhalation Capsule", "580261", "0597-0075-41"),
        Drug("albuterol 90 MCG Metered Dose Inhaler", "745679", "59310-579-22"),
    ),
    "asthma": (
        Drug("albuterol 90 MCG Metered Dose Inhaler", "745679", "59310-579-22"),
        Drug("fluticasone 110 MCG Metered Dose Inhaler", "896018", "0173-0719-20"),
    ),
    "hypothyroidism": (Drug("levothyroxine 50 MCG Oral Tablet", "966222", "0074-4552-90"),),
    "depression": (
        Drug("sertraline 50 MG Oral Tablet", "312941", "0049-4900-66"),
        Drug("escitalopram 10 MG Oral Tablet", "349332", "0456-2010-01"),
    ),
    "osteoarthritis": (Drug("ibuprofen 600 MG Oral Tablet", "197806", "53746-465-01"),),
    "iron_deficiency": (Drug("ferrous sulfate 325 MG Oral Tablet", "310325", "0536-3478-10"),),
    "cirrhosis": (Drug("lactulose 667 MG/ML Oral Solution", "391937", "0121-0577-16"),),
    "lupus": (
        Drug("hydroxychloroquine 200 MG Oral Tablet", "979092", "0781-1407-01"),
        Drug("prednisone 10 MG Oral Tablet", "312617", "0054-0017-25"),
    ),
    "prostate_cancer": (Drug("leuprolide 22.5 MG Injection", "752884", "0074-3346-03"),),
    "pancreatic_cancer": (Drug("gemcitabine 1000 MG Injection", "1719000", "0002-7502-01"),),
    "dementia": (Drug("donepezil 10 MG Oral Tablet", "997223", "62856-246-30"),),
    "respiratory_infection": (Drug("benzonatate 100 MG Oral Capsule", "197397", "0093-0113-01"),),
    "pneumonia": (Drug("azithromycin 250 MG Oral Tablet", "308460", "0069-3060-75"),),
    "urinary_infection": (Drug("ciprofloxacin 500 MG Oral Tablet", "309309", "0093-0864-01"),),
    "gastroenteritis": (Drug("ondansetron 4 MG Oral Tablet", "198052", "0781-1679-31"),),
    "injury": (Drug("acetaminophen 325 MG Oral Tablet", "313782", "0904-1982-60"),),
    "back_pain": (Drug("cyclobenzaprine 10 MG Oral Tablet", "197484", "0591-5658-01"),),
    "skin_infection": (Drug("cephalexin 500 MG Oral Capsule", "309114", "0093-3147-01"),),
    "background": (
        Drug("omeprazole 20 MG Oral Capsule", "198051", "0378-6150-93"),
        Drug("cetirizine 10 MG Oral Tablet", "1014678", "0904-5852-61"),
        Drug("zolpidem 10 MG Oral Tablet", "854873", "0024-5421-31"),
        Drug("gabapentin 300 MG Oral Capsule", "310431", "0071-0805-24"),
    ),
}

OFFICE, EMERGENCY, INPATIENT = 0, 1, 2
VISIT_PROCEDURES: tuple[tuple[Procedure, ...], ...] = (
    (
        Procedure("Office visit, established, low", "CPT", "99213"),
        Procedure("Office visit, established, moderate", "CPT", "99214"),
        Procedure("Office visit, new patient", "CPT", "99203"),
    ),
    (
        Procedure("Emergency visit, moderate", "CPT", "99284"),
        Procedure("Emergency visit, high", "CPT", "99285"),
    ),
    (
        Procedure("Initial hospital care", "CPT", "99223"),
        Procedure("Subsequent hospital care", "CPT", "99232"),
        Procedure("Hospital discharge", "CPT", "99239"),
    ),
)

CONDITION_PROCEDURES: dict[str, tuple[Procedure, ...]] = {
    "diabetes": (
        Procedure("Insulin injection", "HCPCS", "J1815"),
        Procedure("Blood glucose test strips", "HCPCS", "A4253"),
        Procedure("Dilated eye examination", "CPT", "92014"),
    ),
    "ckd": (Procedure("Renal ultrasound", "CPT", "76770"),),
    "coronary_disease": (
        Procedure("Electrocardiogram", "CPT", "93000"),
        Procedure("Cardiac catheterization", "CPT", "93458"),
    ),
    "heart_failure": (Procedure("Echocardiogram", "CPT", "93306"),),
    "atrial_fibrillation": (Procedure("Electrocardiogram", "CPT", "93000"),),
    "copd": (
        Procedure("Spirometry", "CPT", "94060"),
        Procedure("Nebulizer", "HCPCS", "E0570"),
    ),
    "asthma": (Procedure("Spirometry", "CPT", "94060"),),
    "depression": (Procedure("Psychotherapy, 45 minutes", "CPT", "90834"),),
    "osteoarthritis": (
        Procedure("Joint injection", "CPT", "20610"),
        Procedure("Therapeutic exercises", "CPT", "97110"),
    ),
    "cirrhosis": (Procedure("Abdominal paracentesis", "CPT", "49083"),),
    "prostate_cancer": (Procedure("Prostate biopsy", "CPT", "55700"),),
    "pancreatic_cancer": (Procedure("Chemotherapy infusion", "CPT", "96413"),),
    "celiac": (Procedure("Upper GI endoscopy with biopsy", "CPT", "43239"),),
    "tobacco_dependence": (Procedure("Tobacco cessation counselling", "CPT", "99406"),),
    "injury": (Procedure("X-ray of wrist", "CPT", "73110"),),
}
BACKGROUND_PROCEDURES: tuple[Procedure, ...] = (
    Procedure("Venipuncture", "CPT", "36415"),
    Procedure("Influenza vaccine administration", "HCPCS", "G0008"),
    Procedure("Screening mammography", "CPT", "77067"),
    Procedure("Colonoscopy", "CPT", "45378"),
    Procedure("Annual wellness visit", "HCPCS", "G0439"),
)
CHEST_XRAY = Procedure("Chest X-ray, 2 views", "CPT", "71046")
